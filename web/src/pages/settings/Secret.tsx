/** A secret that is shown once, in a dialog that says so. */

import { Button } from "@/design/basics";
import { Code } from "@/design/code";
import { Dialog } from "@/design/dialog";

interface SecretProps {
  title: string;
  /** What the secret is, in a sentence. */
  children: string;
  secret: string | null;
  onClose: () => void;
}

export function Secret({ title, children, secret, onClose }: SecretProps) {
  return (
    <Dialog
      title={title}
      open={secret !== null}
      onClose={onClose}
      foot={
        <Button look="primary" onClick={onClose}>
          I have kept it
        </Button>
      }
    >
      <p>{children}</p>
      <Code label={title} text={secret ?? ""} />
    </Dialog>
  );
}
