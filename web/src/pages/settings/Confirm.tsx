/** Asking before something that cannot be taken back. */

import { Button } from "@/design/basics";
import { Dialog } from "@/design/dialog";
import { Refused } from "@/design/refused";

interface ConfirmProps {
  /** What will happen, naming the thing. */
  title: string;
  children: string;
  act: string;
  busy: boolean;
  error: unknown;
  onAct: () => void;
  onClose: () => void;
}

export function Confirm({ title, children, act, busy, error, onAct, onClose }: ConfirmProps) {
  return (
    <Dialog
      title={title}
      open
      onClose={onClose}
      foot={
        <>
          <Button onClick={onClose}>Keep it</Button>
          <Button look="danger" disabled={busy} onClick={onAct}>
            {act}
          </Button>
        </>
      }
    >
      <p>{children}</p>
      <Refused error={error} />
    </Dialog>
  );
}
