/** Choosing a password after the first sign-in by a link. */

import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { type ApiError, api, data } from "@/api/client";
import { Button, Field } from "@/design/basics";

export function SetPassword({ onDone }: { onDone: () => void }) {
  const [password, setPassword] = useState("");
  const save = useMutation<unknown, ApiError>({
    mutationFn: () => data(api.POST("/v1/session/password", { body: { new: password } })),
    onSuccess: onDone,
  });
  return (
    <form
      className="login-form"
      onSubmit={(event) => {
        event.preventDefault();
        save.mutate();
      }}
    >
      <h1>Choose a password</h1>
      <Field label="Password" wrong={save.error?.message} hint="For the next time you sign in.">
        {(id, described) => (
          <input
            id={id}
            className="input"
            type="password"
            autoComplete="new-password"
            aria-describedby={described}
            aria-invalid={save.isError || undefined}
            value={password}
            onChange={(event) => setPassword(event.target.value)}
          />
        )}
      </Field>
      <Button look="primary" type="submit" disabled={save.isPending || !password}>
        Save and go on
      </Button>
      <Button look="quiet" onClick={onDone}>
        Later
      </Button>
    </form>
  );
}
