import { statsOf } from "../security/stats.ts";
import { systemUserName } from "../security/user.ts";
import { redactText } from "../ui/redact.ts";

const secretWord = "token|secret|pass|pwd|key|cookie|cred|auth|jwt|private";
const secretName = new RegExp(`${secretWord}|INHERIT_CONFIG`, "i");
/** `NAME=value` and `"name": value` where the name is a secret's; a value ends at a blank, a quote or a semicolon. */
const secretPair = new RegExp(
  String.raw`(?<![\w.-])(?=[\w.-]*?(?:${secretWord}))([\w.-]+(?:\s*=\s*|["']\s*:\s*))(?:"[^"]*"|'[^']*'|[^\s;"'])+`,
  "gi",
);
/** `//user:password@` of a URL; a password may hold `/` and `@`. */
const urlUser = /(\/\/)(?:[^\s"'/@:]*:[^\s"']*|[^\s"'/]+)@/g;
const hidden = "[hidden]";

/** The value of a variable for a ticket: hidden where its name says that it is a secret. Pure. */
export function variableText(name: string, value = ""): string {
  return `${name}=${secretName.test(name) ? hidden : value}`;
}

/** Text without what looks like a secret: by its own form, or by the name that stands before it. Pure. */
export function withoutSecrets(text: string): string {
  return redactText(text).replace(urlUser, `$1${hidden}@`).replace(secretPair, `$1${hidden}`);
}

const own = "~";
const delimiter = String.raw`\s:;,="'\`()[\]{}<>|`;
const pathInText = new RegExp(
  String.raw`(?<=^|[\s:;,="'\`([{<|]|file://)(?:/(?!/)|(?<!:)/+)[^/${delimiter}]+(?:/+[^/${delimiter}]+)*`,
  "g",
);
const systemFolder = /^(?:bin|boot|dev|etc|lib\w*|nix|opt|proc|root|run|sbin|snap|sys|usr|var)$/;
/** Folders in which users' folders are, one in the other: `/gpfs/scratch/users2`. */
const place =
  /^(?:home|user|u|scratch|work|workspace|data|project|proj|lustre|gpfs|beegfs|ceph|nfs|fs|vol|volume|group|storage|store|archive|mnt|media|net|export)s?[-_]?\d*$/i;

/** The user id of who owns what is at a path; undefined where nothing is, or where that may not be seen. */
const ownerAt = (path: string): number | undefined => statsOf(path)?.uid;

/**
 * Text without the names of other users in its paths; the own home folder is `~`. A folder is taken for a user's where
 * somebody else than root owns it, and, where that cannot be seen, by its place: `/home/…`, `/scratch/users2/…`. Never
 * throws.
 */
export function anonymous(text: string, env: NodeJS.ProcessEnv, ownerOf = ownerAt): string {
  const names = new Set([env["USER"], env["LOGNAME"], systemUserName()]);
  const seen = new Map<string, number | undefined>();
  const owner = (path: string): number | undefined => {
    if (!seen.has(path)) seen.set(path, ownerOf(path));
    return seen.get(path);
  };
  return shortHome(text, env["HOME"]).replace(pathInText, (path) => withoutUser(path, names, owner));
}

function shortHome(text: string, home = ""): string {
  const folder = home.replace(/\/+$/, "");
  if (folder === "") return text;
  const words = folder.replace(/[^\w/]/g, String.raw`\$&`);
  return text.replace(new RegExp(String.raw`(?<![\w.~-])${words}(?=[/${delimiter}]|\.*(?:\s|$))`, "g"), own);
}

/** The path with `[user]` for the first component that is another user's. */
function withoutUser(
  path: string,
  names: ReadonlySet<string | undefined>,
  ownerOf: (path: string) => number | undefined,
): string {
  const parts = path.split("/");
  const first = parts.findIndex((part) => part !== "");
  /** Whether all so far are folders of users' folders. */
  let among = false;
  for (const [at, part] of parts.entries()) {
    const name = part.replace(/\.+$/, ""); // a path may end a sentence
    if (name === "") continue;
    if (names.has(name) || (at === first && systemFolder.test(name))) return path;
    const isPlace = place.test(name);
    const uid = ownerOf([...parts.slice(0, at), name].join("/"));
    if (at > first && !isPlace) {
      const isUsers = uid === undefined ? among : uid !== 0 && uid !== process.getuid?.();
      if (isUsers) return parts.with(at, part.replace(name, "[user]")).join("/");
      // What is not there has no owner, and of what is the reader's own nothing is hidden.
      if (uid !== 0) return path;
    }
    among = isPlace && (among || at === first);
  }
  return path;
}
