import { once } from "node:events";
import { expect } from "vitest";
import { WebSocket } from "ws";

/** What names the bearer of a Jupyter server's token to it. */
export const headers = (token: string): Record<string, string> => ({ Authorization: `token ${token}` });

/** The longest (ms) that a kernel may take to start and to run what it is given. */
const patience = 80_000;

/**
 * Starts a kernel in the folder that Jupyter shows, by the server's own interface as VS Code and JupyterLab do, runs
 * Python in it, and returns what it prints. `page` is the server's address up to where its paths begin.
 */
export async function inKernel(page: string, token: string, code: string): Promise<string> {
  const made = await fetch(`${page}/api/sessions`, {
    method: "POST",
    headers: { ...headers(token), "Content-Type": "application/json" },
    body: JSON.stringify({ kernel: { name: "python3" }, name: "x", path: "x.ipynb", type: "notebook" }),
  });
  expect(made.status).toBe(201);
  const { kernel } = (await made.json()) as { kernel: { id: string } };
  const socket = new WebSocket(`${page.replace("http", "ws")}/api/kernels/${kernel.id}/channels`, {
    headers: headers(token),
  });
  const said: string[] = [];
  let over = false;
  socket.on("message", (data: Buffer) => {
    const { msg_type, parent_header, content } = JSON.parse(data.toString("utf8")) as {
      msg_type: string;
      parent_header: { msg_id?: string };
      content: { name?: string; text?: string; traceback?: string[]; execution_state?: string };
    };
    // A line may come in pieces: what was printed is there when the kernel is idle again.
    if (msg_type === "status" && content.execution_state === "idle" && parent_header.msg_id === "1") over = true;
    if ((msg_type === "stream" && content.name === "stdout") || msg_type === "error")
      said.push(content.text ?? (content.traceback ?? []).join("\n"));
  });
  await once(socket, "open");
  const header = {
    msg_id: "1",
    msg_type: "execute_request",
    session: "s",
    username: "u",
    version: "5.3",
    date: "2026-01-01T00:00:00Z",
  };
  const content = {
    code,
    silent: false,
    store_history: false,
    user_expressions: {},
    allow_stdin: false,
    stop_on_error: true,
  };
  socket.send(JSON.stringify({ channel: "shell", header, parent_header: {}, metadata: {}, content }));
  await expect.poll(() => over, { timeout: patience }).toBe(true);
  socket.close();
  return said.join("").trim();
}
