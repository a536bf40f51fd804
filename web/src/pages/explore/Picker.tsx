/** Choosing metrics and dimensions: an ordered list of chips that can be added to and taken from. */

import { useState } from "react";
import { Button } from "@/design/basics";
import { Dialog } from "@/design/dialog";
import { Icon } from "@/design/icons";

export interface Choice {
  name: string;
  meaning: string;
}

interface PickerProps {
  label: string;
  chosen: string[];
  choices: Choice[];
  most: number;
  onChange: (chosen: string[]) => void;
  /** What stands when nothing is chosen. */
  none?: string;
}

export function Picker({ label, chosen, choices, most, onChange, none }: PickerProps) {
  const [open, setOpen] = useState(false);
  const [text, setText] = useState("");
  const wanted = text.toLowerCase();
  const free = choices.filter(
    (one) =>
      !chosen.includes(one.name) && `${one.name} ${one.meaning}`.toLowerCase().includes(wanted),
  );
  const add = (name: string) => {
    onChange([...chosen, name]);
    setText("");
    if (chosen.length + 1 >= most) setOpen(false);
  };
  return (
    <fieldset className="filters" style={{ border: 0, margin: 0, padding: 0 }} aria-label={label}>
      <span className="faint">{label}</span>
      {chosen.map((name) => (
        <span className="chip" key={name}>
          <span className="clip">{name.replaceAll("_", " ")}</span>
          <button
            type="button"
            aria-label={`Remove ${name} from ${label}`}
            onClick={() => onChange(chosen.filter((one) => one !== name))}
          >
            <Icon name="close" size={12} />
          </button>
        </span>
      ))}
      {!chosen.length && none && <span>{none}</span>}
      {chosen.length < most && (
        <Button
          small
          look="quiet"
          icon="plus"
          aria-label={`Add to ${label}`}
          onClick={() => setOpen(true)}
        />
      )}
      <Dialog title={`Add to ${label}`} open={open} onClose={() => setOpen(false)}>
        <input
          className="input"
          type="search"
          aria-label="Search"
          placeholder="Type to search; Enter takes the first"
          autoFocus
          value={text}
          onChange={(event) => setText(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter" && free[0]) add(free[0].name);
          }}
        />
        <div className="palette-list">
          {free.map((one) => (
            <button type="button" key={one.name} onClick={() => add(one.name)}>
              <b>{one.name.replaceAll("_", " ")}</b>
              <span className="faint">{one.meaning}</span>
            </button>
          ))}
        </div>
      </Dialog>
    </fieldset>
  );
}
