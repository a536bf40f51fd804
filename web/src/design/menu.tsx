/** A menu under a button: arrows move, Enter chooses, Escape closes and gives the focus back. */

import { type KeyboardEvent, type ReactNode, useEffect, useId, useRef, useState } from "react";
import { Button } from "./basics";

interface MenuProps {
  label: string;
  /** What the button shows; an icon alone needs `icon`. */
  text?: ReactNode;
  icon?: string;
  look?: "usual" | "quiet";
  small?: boolean;
  end?: boolean;
  above?: boolean;
  children: (close: () => void) => ReactNode;
}

export function Menu({
  label,
  text,
  icon,
  look = "usual",
  small,
  end,
  above,
  children,
}: MenuProps) {
  const [open, setOpen] = useState(false);
  const anchor = useRef<HTMLSpanElement>(null);
  const id = useId();
  const items = () => [...(anchor.current?.querySelectorAll<HTMLElement>(".item") ?? [])];

  useEffect(() => {
    if (!open) return;
    anchor.current?.querySelector<HTMLElement>(".item")?.focus();
    const outside = (event: PointerEvent) => {
      if (!anchor.current?.contains(event.target as Node)) setOpen(false);
    };
    document.addEventListener("pointerdown", outside);
    return () => document.removeEventListener("pointerdown", outside);
  }, [open]);

  const close = () => {
    setOpen(false);
    anchor.current?.querySelector("button")?.focus();
  };
  const onKey = (event: KeyboardEvent) => {
    if (!open) return;
    if (event.key === "Escape") {
      event.stopPropagation();
      close();
    }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const all = items();
    const at = all.indexOf(document.activeElement as HTMLElement);
    all[(at + step + all.length) % all.length]?.focus();
  };

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the keys belong to the menu inside
    <span className="menu-anchor" ref={anchor} onKeyDown={onKey}>
      <Button
        look={look}
        {...(small ? { small } : {})}
        {...(icon ? { icon } : {})}
        aria-label={label}
        aria-haspopup="menu"
        aria-expanded={open}
        aria-controls={open ? id : undefined}
        onClick={() => setOpen(!open)}
      >
        {text}
      </Button>
      {open && (
        <div
          id={id}
          role="menu"
          aria-label={label}
          className={`menu ${end ? "end" : ""} ${above ? "above" : ""}`}
        >
          {children(close)}
        </div>
      )}
    </span>
  );
}

interface ItemProps {
  children: ReactNode;
  onClick: () => void;
  checked?: boolean;
}

export function Item({ children, onClick, checked }: ItemProps) {
  const role = checked === undefined ? "menuitem" : "menuitemradio";
  return (
    <button
      type="button"
      className="item"
      role={role}
      {...(checked === undefined ? {} : { "aria-checked": checked })}
      onClick={onClick}
    >
      {children}
    </button>
  );
}
