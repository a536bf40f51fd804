/** What differs between two versions of a limit, line by line. */

import styles from "./limits.module.css";
import type { Difference } from "./words";

export function Changes({ changes }: { changes: Difference[] }) {
  if (!changes.length) return <p className="faint">Nothing that is shown here changed.</p>;
  return (
    <dl className={styles.diff}>
      {changes.map((one) => (
        <Change key={one.what} change={one} />
      ))}
    </dl>
  );
}

function Change({ change }: { change: Difference }) {
  return (
    <>
      <dt>{change.what}</dt>
      <dd>
        {change.was && (
          <>
            <span className="sr-only">was </span>
            <del className={styles.was}>{change.was}</del>{" "}
          </>
        )}
        <span className="sr-only">now </span>
        <ins style={{ textDecoration: "none" }}>{change.now || "as by default"}</ins>
      </dd>
    </>
  );
}
