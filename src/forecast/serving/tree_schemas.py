"""What may be asked about a hierarchy of budgets, and what is answered."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from forecast.serving.answers import Answer, Distribution, Heading
from forecast.serving.schemas import BudgetBody, SnapshotChoice, Text

MOST_AD_HOC = 1_000


class TreeBudget(BudgetBody):
    """A budget of a question that stores nothing."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"id": "ads", "parent": "company", "scope": "team=ads", "period": "2027-Q1", "amount": 1}]}
    )

    id: Text


class TreeRequest(SnapshotChoice):
    """Will parents and children overrun together? The tree below `budget_id`, or all trees; of the stored budgets, or of `budgets`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"budget_id": "company-q1"},
                {
                    "budgets": [
                        {"id": "company", "period": "2027-Q1", "amount": 900000},
                        {"id": "ads", "parent": "company", "scope": "team=ads", "period": "2027-Q1", "amount": 250000},
                    ]
                },
            ]
        }
    )

    budget_id: Text | None = Field(default=None, description="the budget at the top; without it all that have children and no parent")
    budgets: Annotated[tuple[TreeBudget, ...], Field(min_length=1, max_length=MOST_AD_HOC)] | None = Field(
        default=None, description="in place of the stored ones; nothing is stored"
    )
    at: date | None = Field(default=None, description="the day whose occurrence of a repeating budget is meant; default the first after the cutoff")


class Chance(Answer):
    probability: float = Field(ge=0, le=1)
    standard_error: float = Field(description="of having so many paths, not of the model")


class ChildrenOverrun(Distribution):
    standard_error: float = Field(description="of the mean")


class JointAnswer(Answer):
    """A budget and its children on the same paths."""

    any_child: Chance = Field(description="at least one child is overrun")
    parent: Chance
    any: Chance = Field(description="the budget or any below it, on all levels")
    parent_alone: Chance = Field(description="it is overrun although no child is")
    children_alone: Chance = Field(description="a child is overrun although it is not")
    children_over: float = Field(description="mean number of children that are overrun")
    children_overrun: ChildrenOverrun = Field(description="money of all children above their budgets, each for itself")
    rank_correlation: float | None = Field(description="mean over all pairs of children, of their totals; null where fewer than two vary")


class IndependentAnswer(Answer):
    """What would be said if children were independent: wrong wherever they are not, and here to show by how much."""

    any_child: float
    parent: float
    expected_overrun: float = Field(description="of the parent")
    total: Distribution = Field(description="of the parent")


class ContributionRow(Answer):
    """A part's share of what the budget above is expected to overrun by; all of them add up to it."""

    part: Literal["budget", "unallocated", "over_allocated", "double_counted"]
    budget_id: str = Field(description="the child, or the budget whose rest it is")
    start: date
    end: date
    contribution: float = Field(description="money; below nothing where the part stays within its budget while the parent overruns")
    standard_error: float
    share: float | None = Field(description="null where no path overruns")
    overrun_given_parent: Chance | None = Field(description="how often the child is overrun where the parent is")


class UnallocatedRest(Answer):
    """Budget and spend that no child has."""

    amount: float
    total: Distribution
    overrun_probability: float
    standard_error: float
    expected_overrun: float


class TreeNode(Answer):
    """One occurrence of a budget. One that cannot be answered has an `error` and no numbers; those with children have what is true jointly."""

    budget_id: str
    name: str
    owner: str
    kind: str
    scope: str
    start: date
    end: date
    amount: float | None = Field(default=None, description="in the answer's currency")
    converted: dict[str, Any] | None = Field(default=None, description="how the amount became the answer's currency")
    spent: float | None = None
    total: Distribution | None = None
    overrun_probability: float | None = None
    standard_error: float | None = None
    expected_overrun: float | None = None
    note: str | None = None
    error: str | None = None
    jointly: JointAnswer | None = None
    if_independent: IndependentAnswer | None = None
    contributions: list[ContributionRow] | None = Field(default=None, description="of its own parts, the largest first")
    all_contributions: list[ContributionRow] | None = Field(
        default=None, description="at the top of three levels and more: of the lowest parts of all"
    )
    unallocated: UnallocatedRest | None = None
    over_allocated: float | None = Field(default=None, description="what children may spend together beyond its amount")
    double_counted: Distribution | None = Field(default=None, description="spend that several children count")
    sentences: list[str] | None = None
    children: list[TreeNode]


class RollupFinding(Answer):
    """Something that does not fit between parents and children."""

    check: str
    severity: Literal["error", "warning"]
    budget_id: str
    others: list[str]
    amount: float | None
    currency: str | None
    start: date | None
    end: date | None
    sentence: str


class LeftOut(Answer):
    budget_id: str
    reason: str


class TreeAnswer(Heading):
    """Hierarchies of budgets, each read jointly from the snapshot's paths."""

    at: date
    trees: list[TreeNode]
    findings: list[RollupFinding]
    left_out: list[LeftOut]
