"""What the words of AWS bills mean in FOCUS: kinds of line items, product codes."""

from __future__ import annotations

from collections.abc import Mapping

CHARGES: Mapping[str, tuple[str, str | None, str | None]] = {
    "usage": ("Usage", None, "Usage-Based"),
    "discountedusage": ("Usage", None, "Usage-Based"),
    "savingsplancoveredusage": ("Usage", None, "Usage-Based"),
    "savingsplannegation": ("Usage", None, "Usage-Based"),
    "savingsplanupfrontfee": ("Purchase", None, "One-Time"),
    "savingsplanrecurringfee": ("Purchase", None, "Recurring"),
    "rifee": ("Purchase", None, "Recurring"),
    "fee": ("Purchase", None, "One-Time"),
    "flatratesubscription": ("Purchase", None, "Recurring"),
    "tax": ("Tax", None, None),
    "credit": ("Credit", None, "One-Time"),
    "refund": ("Adjustment", "Correction", "One-Time"),
    "edpdiscount": ("Adjustment", None, "Usage-Based"),
    "privateratediscount": ("Adjustment", None, "Usage-Based"),
    "bundleddiscount": ("Adjustment", None, "Usage-Based"),
    "sppdiscount": ("Adjustment", None, "Usage-Based"),
    "rivolumediscount": ("Adjustment", None, "Usage-Based"),
    "discount": ("Adjustment", None, "Usage-Based"),
}
"""Line item type to ChargeCategory, ChargeClass and ChargeFrequency."""

DISCOUNTS = tuple(name for name in CHARGES if name.endswith("discount"))

AI_CODES = (
    r"(?i)^amazon(bedrock|sagemaker|rekognition|textract|transcribe|polly|comprehend|lex|kendra|personalize|forecast)"
    r"|^amazonq($|developer|business)|^translate$"
)
CATEGORIES = {
    "amazonec2": "Compute",
    "awslambda": "Compute",
    "amazonecs": "Compute",
    "amazoneks": "Compute",
    "amazons3": "Storage",
    "amazonefs": "Storage",
    "amazonfsx": "Storage",
    "amazonrds": "Databases",
    "amazondynamodb": "Databases",
    "amazonelasticache": "Databases",
    "awsdatatransfer": "Networking",
    "amazonvpc": "Networking",
    "amazoncloudfront": "Networking",
    "amazonroute53": "Networking",
}
