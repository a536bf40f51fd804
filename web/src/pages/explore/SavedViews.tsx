/** Views with a name: a page and its URL, for oneself or for everybody. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { type ApiError, api, data } from "@/api/client";
import { Button, Failed, Field } from "@/design/basics";
import { Dialog, toast } from "@/design/dialog";
import { Item, Menu } from "@/design/menu";
import { newId } from "@/lib/ids";
import { parseSearch, useView, writeSearch } from "@/lib/view";

const KEY = ["views"];

export function SavedViews({ path }: { path: string }) {
  const navigate = useNavigate();
  const client = useQueryClient();
  const [saving, setSaving] = useState(false);
  const found = useQuery({ queryKey: KEY, queryFn: () => data(api.GET("/v1/views")) });
  const remove = useMutation<unknown, ApiError, string>({
    mutationFn: (view_id) => api.DELETE("/v1/views/{view_id}", { params: { path: { view_id } } }),
    onSuccess: () => client.invalidateQueries({ queryKey: KEY }),
    onError: (error) => toast(error.message, { bad: true }),
  });
  const views = (found.data?.views ?? []).filter((one) => one.path === path);
  return (
    <>
      <Menu label="Saved views" icon="save" text="Views" end>
        {(close) => (
          <>
            {views.map((one) => (
              <div key={one.view_id} style={{ display: "flex" }}>
                <Item
                  onClick={() => {
                    close();
                    void navigate({
                      to: one.path,
                      search: parseSearch(one.search) as never,
                    } as never);
                  }}
                >
                  {one.name}
                  {one.shared && <span className="faint">shared</span>}
                </Item>
                {one.mine && (
                  <Button
                    small
                    look="quiet"
                    icon="close"
                    aria-label={`Delete the view ${one.name}`}
                    onClick={() => remove.mutate(one.view_id)}
                  />
                )}
              </div>
            ))}
            {!views.length && <div className="group">No view is saved yet.</div>}
            <div className="sep" />
            <Item
              onClick={() => {
                close();
                setSaving(true);
              }}
            >
              Save this view…
            </Item>
          </>
        )}
      </Menu>
      {saving && <SaveView path={path} onClose={() => setSaving(false)} />}
    </>
  );
}

function SaveView({ path, onClose }: { path: string; onClose: () => void }) {
  const view = useView();
  const client = useQueryClient();
  const [name, setName] = useState("");
  const [shared, setShared] = useState(false);
  // Made once: sent again after a lost answer, it is the same view.
  const [view_id] = useState(() => newId());
  const save = useMutation<unknown, ApiError>({
    mutationFn: () =>
      data(
        api.POST("/v1/views", {
          body: { view_id, name, path, search: writeSearch(view.search), shared },
        }),
      ),
    onSuccess: () => {
      void client.invalidateQueries({ queryKey: KEY });
      toast(`Saved as ${name}.`);
      onClose();
    },
  });
  return (
    <Dialog
      title="Save this view"
      open
      onClose={onClose}
      foot={
        <Button
          look="primary"
          disabled={!name.trim() || save.isPending}
          onClick={() => save.mutate()}
        >
          Save
        </Button>
      }
    >
      <Field label="Name" hint="A relative window, such as the last 7 days, stays relative.">
        {(id, described) => (
          <input
            id={id}
            className="input"
            aria-describedby={described}
            value={name}
            onChange={(event) => setName(event.target.value)}
          />
        )}
      </Field>
      <label className="toolbar">
        <input
          type="checkbox"
          checked={shared}
          onChange={(event) => setShared(event.target.checked)}
        />
        Everybody who signs in sees it
      </label>
      {save.error && <Failed error={save.error} />}
    </Dialog>
  );
}
