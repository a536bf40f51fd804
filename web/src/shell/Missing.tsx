import { Link } from "@tanstack/react-router";
import { Empty } from "@/design/basics";

/** There is no such page. */
export function Missing() {
  return (
    <Empty
      title="There is no such page"
      actions={
        <Link className="button" to="/">
          Overview
        </Link>
      }
    >
      The address may be cut off, or what it showed is gone.
    </Empty>
  );
}
