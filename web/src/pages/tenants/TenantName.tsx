/** A tenant by its name, leading to its page. */

import { Link } from "@tanstack/react-router";
import { useView } from "@/lib/view";
import { useNames } from "./api";
import { UNATTRIBUTED } from "./rows";
import css from "./tenants.module.css";

export function TenantName({ id }: { id: string }) {
  const view = useView();
  const known = useNames().get(id);
  if (id === UNATTRIBUTED) {
    return (
      <Link
        className={css.name}
        to="/requests"
        search={view.carried({ tenant: id }) as never}
        title="Calls that name no tenant. Leads to their requests."
      >
        <span className={`clip ${css.none}`}>No tenant named</span>
      </Link>
    );
  }
  const called = known?.name || id;
  return (
    <Link
      className={css.name}
      to="/tenants/$tenant"
      params={{ tenant: id }}
      search={view.carried({ tenant: undefined }) as never}
    >
      <span className="clip">{called}</span>
      {called !== id && <span className={`clip ${css.id}`}>{id}</span>}
    </Link>
  );
}
