"""Both sides over HTTP: sets the server up, and asks it and the simulator for their totals."""

from __future__ import annotations

import time
from typing import Any, Final
from urllib.parse import urlencode

import httpx

from outlay.demo.bill import LIST_PRICES
from outlay.demo.client import TIMEOUT_S, Client
from outlay.demo.compare import Comparison, Totals, billed_totals, compare
from outlay.demo.drift import rate_differences
from outlay.demo.limits import LIMITS, PAID, SELL
from outlay.demo.tenants import TENANTS
from outlay.errors import UnavailableError

MAX_TENANTS: Final = 10_000
MAX_STANDINGS: Final = 8


class Watch:
    """Asks the server, with an admin key, and the simulator."""

    def __init__(self, *, server: str, key: str, simulator: str) -> None:
        self._http = httpx.Client(timeout=TIMEOUT_S, trust_env=False)
        self.client = Client(server, key)
        self._call = self.client.call
        self._simulator = simulator
        self.began_at = time.time_ns() // 1000
        """Since when both sides are compared, microseconds UTC; what is older is the past."""

    def close(self) -> None:
        """Close the connections."""
        self.client.close()
        self._http.close()

    def register_tenants(self) -> None:
        """Tell the server who the tenants are, with plans and contracts."""
        for tenant in TENANTS:
            self._call("PUT", f"/v1/tenants/{tenant.tenant_id}", tenant.as_request())

    def set_limits(self) -> None:
        """Give tenants limits and credits; what an earlier run set stays as it is."""
        self._call("POST", "/v1/limits", {**LIMITS, "reason": "demo"})
        self._call("POST", "/v1/prices", SELL)
        grant = {"key": "demo", "reason": PAID.reason, "amount": PAID.amount}
        self._call("POST", f"/v1/credits/{PAID.tenant}/grants", grant)

    def standings(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return how the fullest scopes stand against their limits, and the balances."""
        state = self._call("GET", f"/v1/limits/state?count={MAX_STANDINGS}")
        return state["counters"], self._call("GET", "/v1/credits")["accounts"]

    def ingest_key(self) -> str:
        """Make the key that the application sends events with: it can do nothing else."""
        made = self._call("POST", "/v1/keys", {"name": "demo application", "scopes": ["ingest"]})
        return str(made["secret"])

    def gateway_key(self) -> str:
        """Make the application's virtual key: its tenants come in signed contexts."""
        made = self._call("POST", "/v1/virtual-keys", {"name": "demo application"})
        return str(made["secret"])

    def price_drift(self) -> list[str]:
        """Return what the server's price book says otherwise than the simulator's table."""
        return rate_differences(
            rate
            for provider, models in LIST_PRICES.items()
            for model in models
            for rate in self._call(
                "GET", f"/v1/prices?{urlencode({'provider': provider, 'model': model})}"
            )["rates"]
        )

    def compare(self) -> tuple[Comparison, int]:
        """Return both sides as they are now, and how many attempts the simulator is still at."""
        metered = self._metered()
        bill = self._get_bill()
        return compare(metered, billed_totals(bill)), int(bill["in_flight"])

    def _metered(self) -> dict[str, Totals]:
        question = {
            "metrics": ["cost", "attempts"],
            "by": ["tenant"],
            # What a limit refused never reached the provider.
            "filters": [{"field": "status", "op": "ne", "value": "blocked"}],
            "from": self.began_at,
            "limit": MAX_TENANTS,
        }
        answer = self._call("POST", "/v1/query", question)
        names = [column["name"] for column in answer["columns"]]
        at = [names.index(name) for name in ("tenant", "cost", "attempts")]
        rows = ([row[index] for index in at] for row in answer["rows"])
        return {str(tenant): Totals(int(cost), int(attempts)) for tenant, cost, attempts in rows}

    def _get_bill(self) -> Any:
        try:
            return self._http.get(f"{self._simulator}/bill").raise_for_status().json()
        except httpx.HTTPError as error:
            raise UnavailableError(f"The simulator does not answer: {error!r}.") from error
