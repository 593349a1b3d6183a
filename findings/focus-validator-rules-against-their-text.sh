#!/usr/bin/env bash
# focus-validator 2.2.1 (the FinOps Foundation's, rules 1.2.0.1): three rules fail on rows that FOCUS 1.2 allows, and the process exits with 0.
# Expected: a valid file of two rows passes, and a file that breaks a MUST ends with an exit code other than 0.
# Seen: InvoiceId-C-005-C requires an InvoiceId in every row (its condition "when the charge is associated with an invoice" is empty in
# the rules); PricingCurrency-C-003-M requires ISO 4217 where FOCUS allows a virtual currency; ConsumedQuantity-C-006-C says "not null when
# ChargeClass is NOT Correction" and checks the rows where it IS. FormatString refuses every non-ASCII letter ("Jira – Suche").
# It starts only in its own site-packages folder, and only with an older pyarrow than pip selects (numpy < 2). Python 3.12.
# On a file that has only its header, five rules that allow one of several values fail: no line has one of them.
# In FlexCredits: tests/query_api/exports/test_focus_validator.py lists these rules by name; ChargeDescription is written in ASCII.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
for python in python3.12 "$HOME"/.pyenv/versions/3.12*/bin/python; do "$python" --version 2>/dev/null && break; done
"$python" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check focus-validator==2.2.1 pyarrow==17.0.0
cat > "$work/rows.py" <<'PY'
import csv, sys
usage = {
    "BilledCost": "0.000000", "BillingAccountId": "a", "BillingAccountName": "Acme", "BillingAccountType": "Organization",
    "BillingCurrency": "USD", "BillingPeriodEnd": "2026-12-01T00:00:00Z", "BillingPeriodStart": "2026-11-01T00:00:00Z",
    "ChargeCategory": "Usage", "ChargeClass": "", "ChargeDescription": sys.argv[1], "ChargeFrequency": "Usage-Based",
    "ChargePeriodEnd": "2026-11-02T00:00:00Z", "ChargePeriodStart": "2026-11-01T00:00:00Z", "ConsumedQuantity": "1.500000",
    "ConsumedUnit": "Credits", "ContractedCost": "0.060000", "ContractedUnitPrice": "0.040000", "EffectiveCost": "0.060000",
    "InvoiceId": "", "InvoiceIssuerName": "Seller", "ListCost": "0.060000", "ListUnitPrice": "0.040000",
    "PricingCategory": "Standard", "PricingCurrency": "Tokens", "PricingCurrencyContractedUnitPrice": "1.000000",
    "PricingCurrencyEffectiveCost": "1.500000", "PricingCurrencyListUnitPrice": "1.000000", "PricingQuantity": "1.500000",
    "PricingUnit": "Credits", "ProviderName": "Seller", "PublisherName": "Seller", "ResourceId": "r", "ResourceName": "",
    "ResourceType": "Agent", "ServiceCategory": "AI and Machine Learning", "ServiceName": "Agents",
    "ServiceSubcategory": "Generative AI", "SkuId": "s", "SkuMeter": "m", "SkuPriceDetails": "", "SkuPriceId": "s",
    "SubAccountId": "", "SubAccountName": "", "SubAccountType": "", "Tags": "",
}
refund = usage | {
    "ChargeCategory": "Purchase", "ChargeClass": "Correction", "ChargeFrequency": "One-Time", "ConsumedQuantity": "",
    "ConsumedUnit": "", "EffectiveCost": "0.000000", "PricingCurrencyEffectiveCost": "0.000000",
}
out = csv.DictWriter(sys.stdout, list(usage), lineterminator="\r\n")
out.writeheader()
out.writerows([usage, refund])
PY
# Prints the rules that fail by themselves, not those that fail with another.
validate() {
    "$work/venv/bin/python" "$work/rows.py" "$1" > "$work/focus.csv"
    (cd "$work"/venv/lib/python3.12/site-packages && "$work/venv/bin/python" -m focus_validator.main --data-file "$work/focus.csv" \
        --validate-version 1.2.0.1 --block-download \
        --applicability-criteria USAGE_MEASUREMENT_SUPPORTED,VIRTUAL_CURRENCY_SUPPORTED,PRICING_BILLING_CURRENCY_DIFFERENCES_SUPPORTED) > "$work/report"
    grep -a ': FAIL' "$work/report" | grep -av 'failed child rules\|Upstream dependency failed' | sed 's/^[^A-Za-z]*\([A-Za-z]*-C-[0-9]*-[A-Z]\).*/\1/' | sort | paste -sd ' '
}
ascii=$(validate "Agents: search")
beyond=$(validate "Agents – search")
sed -i '/^out.writerows/d' "$work/rows.py"
none=$(validate "")
echo "focus-validator 2.2.1, exit code 0 each time; rules that fail:"
echo "  valid rows:            $ascii"
echo "  with an en dash:       $beyond"
echo "  without rows:          $none"
[ "$ascii" = "ConsumedQuantity-C-006-C InvoiceId-C-005-C PricingCurrency-C-003-M" ]
[ "$beyond" = "ChargeDescription-C-002-M ConsumedQuantity-C-006-C InvoiceId-C-005-C PricingCurrency-C-003-M" ]
[ "$none" = "ChargeCategory-C-003-M ChargeFrequency-C-003-M ConsumedQuantity-C-006-C ServiceCategory-C-003-M ServiceSubcategory-C-003-M ServiceSubcategory-C-004-M" ]
