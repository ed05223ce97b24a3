"""Where bills come from by themselves: a watched folder, a vendor's API. One source is one file; `registry` lists them."""
