/** A dialog over the page, and short notes at its corner. */

import { type ReactNode, useEffect, useId, useRef, useSyncExternalStore } from "react";
import { Button } from "./basics";

interface DialogProps {
  title: ReactNode;
  open: boolean;
  onClose: () => void;
  wide?: boolean;
  children: ReactNode;
  /** Buttons at the end; inside of a form of its own, leave it out. */
  foot?: ReactNode;
}

/** A modal dialog; Escape and the button close it, and the focus goes back where it was. */
export function Dialog({ title, open, onClose, wide, children, foot }: DialogProps) {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const dialog = ref.current;
    if (open && dialog && !dialog.open) {
      dialog.showModal();
      // It would begin at the button that closes it; people come to fill something in.
      dialog.querySelector<HTMLElement>(".body :is(input, select, textarea)")?.focus();
    }
    if (!open && dialog?.open) dialog.close();
  }, [open]);
  if (!open) return null;
  return (
    <dialog
      ref={ref}
      className={`dialog ${wide ? "wide" : ""}`}
      aria-labelledby={id}
      onClose={onClose}
    >
      <div className="head">
        <h2 id={id}>{title}</h2>
        <Button look="quiet" icon="close" aria-label="Close" onClick={onClose} />
      </div>
      <div className="body">{children}</div>
      {foot && <div className="foot">{foot}</div>}
    </dialog>
  );
}

interface Toast {
  id: number;
  text: string;
  bad: boolean;
}

const MAX_TOASTS = 3;
const SHOWN_MS = 6_000;
let toasts: Toast[] = [];
let next = 1;
const listeners = new Set<() => void>();

function tell(after: Toast[]): void {
  toasts = after;
  for (const one of listeners) one();
}

/** Say something for a moment; a failure stays longer to be read. */
export function toast(text: string, { bad = false } = {}): void {
  const id = next++;
  tell([...toasts, { id, text, bad }].slice(-MAX_TOASTS));
  setTimeout(() => tell(toasts.filter((one) => one.id !== id)), bad ? SHOWN_MS * 2 : SHOWN_MS);
}

export function Toasts() {
  const shown = useSyncExternalStore(
    (listen) => {
      listeners.add(listen);
      return () => listeners.delete(listen);
    },
    () => toasts,
  );
  return (
    <div className="toast-area" role="status" aria-live="polite">
      {shown.map((one) => (
        <div key={one.id} className={`toast ${one.bad ? "bad" : ""}`}>
          {one.text}
        </div>
      ))}
    </div>
  );
}
