/** The one way to the API: typed by its OpenAPI file, errors as `ApiError`. */

import createClient, { type Middleware } from "openapi-fetch";
import type { paths } from "./schema";

/** One of several things that are wrong with a document. */
export interface Problem {
  line?: number;
  item?: string;
  field: string;
  message: string;
}

/** What the API said was wrong, in its own words. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly hint = "",
    readonly where = "",
    /** Every place that is wrong, where the API names more than one. */
    readonly problems: Problem[] = [],
  ) {
    super(message);
    this.name = "ApiError";
  }
}

/** A bearer for pages without a session, such as the portal; set once at their start. */
let bearer = "";
let signedOut: () => void = () => {};

export function showBearer(token: string): void {
  bearer = token;
}

/** Say what is done when the API asks for a sign-in. */
export function whenSignedOut(act: () => void): void {
  signedOut = act;
}

async function errorOf(response: Response): Promise<ApiError> {
  try {
    const { error } = await response.clone().json();
    const { code, message, hint, where, problems } = error;
    return new ApiError(response.status, code, message, hint, where, problems);
  } catch {
    const text = response.status >= 500 ? "The server cannot answer." : "The request failed.";
    return new ApiError(response.status, "unknown", `${text} (HTTP ${response.status})`);
  }
}

const edge: Middleware = {
  onRequest({ request }) {
    request.headers.set("X-Outlay-Client", "web");
    if (bearer) request.headers.set("Authorization", `Bearer ${bearer}`);
    return request;
  },
  async onResponse({ request, response }) {
    if (response.ok) return;
    const session = new URL(request.url).pathname.startsWith("/v1/session");
    if (response.status === 401 && !session) signedOut();
    throw await errorOf(response);
  },
  onError() {
    return new ApiError(0, "unreachable", "The server cannot be reached.", "It is asked again.");
  },
};

export const api = createClient<paths>({ baseUrl: "/" });
api.use(edge);

/** Return the data of an answer; the client has thrown for anything else. */
export async function data<T>(answer: Promise<{ data?: T }>): Promise<T> {
  return (await answer).data as T;
}
