/** Signing in: by password, by a single sign-on provider, or by a link that works once. */

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { type ApiError, api, data } from "@/api/client";
import { sessionQuery, useSession } from "@/api/session";
import { Button, Field, Loading } from "@/design/basics";
import { useView } from "@/lib/view";
import "./login.css";
import { SetPassword } from "./SetPassword";

type Way = { email: string; password: string } | { link: string } | { demo: true };

/** What a failed single sign-on says; the address has only its code. */
const SSO_ERRORS: Record<string, string> = {
  unknown_user: "This account has no access here. Ask an admin to add you.",
  disabled: "This account has been disabled.",
  state: "The sign-in took too long or was opened twice. Try again.",
  provider: "The sign-in provider refused or could not be reached.",
  email: "The sign-in provider does not vouch for an e-mail of this account.",
  busy: "Too many people sign in just now. Try again in a minute.",
};

export default function Login() {
  const view = useView();
  const session = useSession();
  const client = useQueryClient();
  const [token] = useState(takeLink);
  const [choosing, setChoosing] = useState(false);
  const started = useRef(false);
  const next = safeNext(view.text("next"));

  const enter = useMutation<unknown, ApiError, Way>({
    mutationFn: async (body) => {
      const found = await data(api.POST("/v1/session", { body: body as never }));
      client.setQueryData(sessionQuery.queryKey, found);
      const user = found.user;
      if (user?.role === "tenant") window.location.assign("/portal/");
      else if ("link" in body && user?.set_password === "new" && !user.email.endsWith("@localhost"))
        setChoosing(true);
      else window.location.assign(`/app${next}`);
    },
  });

  const demo = session?.ways.demo ?? false;
  const { mutate } = enter;
  useEffect(() => {
    // Once, also when React mounts twice in development.
    if (started.current || token || !demo) return;
    started.current = true;
    mutate({ demo: true });
  }, [token, demo, mutate]);

  const failed = enter.error?.message ?? SSO_ERRORS[view.text("error")];
  return (
    <main className="login">
      <div className="login-card">
        <p className="login-brand">
          <img src="/app/icon.svg" alt="" width="28" height="28" /> outlay
        </p>
        {choosing ? (
          <SetPassword onDone={() => window.location.assign(`/app${next}`)} />
        ) : enter.isPending || !session ? (
          <Loading lines={3} height={120} />
        ) : token && enter.isIdle ? (
          <>
            <h1>Sign in</h1>
            <p>This link signs you in once.</p>
            {/* Asked for: what looks at links in mails opens them too, and must not use them up. */}
            <Button look="primary" onClick={() => mutate({ link: token })}>
              Go on
            </Button>
          </>
        ) : (
          <>
            <h1>Sign in</h1>
            {failed && (
              <p className="notice bad" role="alert">
                {failed}
              </p>
            )}
            {session.ways.oidc && <SingleSignOn name={session.ways.oidc} next={next} />}
            {session.ways.password && <PasswordForm enter={(way) => enter.mutate(way)} />}
            <p className="faint">
              No password yet? On the server, <code>outlay sign-in-link</code> prints a link that
              signs you in.
            </p>
          </>
        )}
      </div>
    </main>
  );
}

function SingleSignOn({ name, next }: { name: string; next: string }) {
  return (
    <a
      className="button primary"
      href={`/v1/session/oidc/start?next=${encodeURIComponent(`/app${next}`)}`}
    >
      Continue with {name}
    </a>
  );
}

function PasswordForm({ enter }: { enter: (way: Way) => void }) {
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  return (
    <form
      className="login-form"
      onSubmit={(event) => {
        event.preventDefault();
        enter({ email, password });
      }}
    >
      <Field label="E-mail">
        {(id) => (
          <input
            id={id}
            className="input"
            type="email"
            autoComplete="username"
            required
            value={email}
            onChange={(event) => setEmail(event.target.value)}
          />
        )}
      </Field>
      <Field label="Password">
        {(id) => (
          <input
            id={id}
            className="input"
            type="password"
            autoComplete="current-password"
            required
            value={password}
            onChange={(event) => setPassword(event.target.value)}
          />
        )}
      </Field>
      <Button look="primary" type="submit">
        Sign in
      </Button>
    </form>
  );
}

/** Take the link's token out of the address, so that it stays in no history. */
function takeLink(): string {
  const token = new URLSearchParams(window.location.hash.slice(1)).get("link") ?? "";
  if (token) history.replaceState(null, "", window.location.pathname + window.location.search);
  return token;
}

/** Return where to go on: a path of this app, and nothing that leads elsewhere. */
export function safeNext(next: string): string {
  return /^\/(?![/\\])/.test(next) && !next.startsWith("/login") ? next : "/";
}
