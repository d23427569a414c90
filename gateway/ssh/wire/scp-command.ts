/**
 * The command line of the legacy SCP protocol: what `scp` runs on the far side.
 * Strict on purpose: whatever a shell could read as more than this one program with
 * one path is not scp (`scp -t x; bash`), and falls under the rules for `exec`.
 */
export interface ScpCommand {
  /** `sink` (`-t`): the client uploads. `source` (`-f`): the client downloads. */
  readonly mode: 'sink' | 'source';
  readonly recursive: boolean;
  /** `-d`: the sender insists that the path is a directory. */
  readonly directory: boolean;
  /** The path, unquoted. A pattern of `source` (`*.log`) stands as it was written. */
  readonly path: string;
}

/** Longest command considered: PATH_MAX (4,096) with every byte escaped, and the flags. */
const COMMAND_MAX = 16_384;

/** Characters that no POSIX shell treats specially anywhere in a word. */
const PLAIN = /[A-Za-z0-9_@%+=:,./^-]/;
/** Expanded by the far shell to file names; harmless to `scp -f` behind a plain first character. */
const PATTERN = /[*?[\]]/;

/** Parses an exec request's command; undefined: it is not a plain scp. */
export function parseScpCommand(command: string): ScpCommand | undefined {
  if (command.length > COMMAND_MAX || command.includes('\0')) return undefined;
  const words = splitWords(command);
  if (words === undefined) return undefined;
  const [program, ...rest] = words;
  if (program === undefined || program.quoted || program.pattern) return undefined;
  if (program.text !== 'scp' && program.text !== '/usr/bin/scp') return undefined;

  const flags = new Set<string>();
  let next = 0;
  for (; next < rest.length; next++) {
    const word = rest[next];
    if (word === undefined || !word.text.startsWith('-') || word.text === '-') break;
    if (word.quoted || word.pattern) return undefined;
    if (word.text === '--') {
      next++;
      break;
    }
    for (const flag of word.text.slice(1)) {
      if (!'tfrpdvq'.includes(flag)) return undefined;
      flags.add(flag);
    }
  }
  const path = rest[next];
  if (path === undefined || rest.length !== next + 1 || path.text === '') return undefined;
  if (flags.has('t') === flags.has('f')) return undefined;
  const mode = flags.has('t') ? 'sink' : 'source';
  // A pattern of a sink would be expanded to a list whose last name is the target: nobody asked for that.
  if (path.pattern && mode === 'sink') return undefined;
  return { mode, recursive: flags.has('r'), directory: flags.has('d'), path: path.text };
}

interface Word {
  readonly text: string;
  readonly quoted: boolean;
  readonly pattern: boolean;
}

/** Splits like a POSIX shell (XCU §2.2) what needs no expansion; undefined when anything would. */
function splitWords(line: string): Word[] | undefined {
  const words: Word[] = [];
  let at = 0;
  while (at < line.length) {
    if (line[at] === ' ' || line[at] === '\t') {
      at++;
      continue;
    }
    const read = readWord(line, at);
    if (read === undefined) return undefined;
    words.push(read.word);
    at = read.end;
  }
  return words;
}

function readWord(line: string, start: number): { word: Word; end: number } | undefined {
  let text = '';
  let quoted = false;
  let pattern = false;
  let at = start;
  while (at < line.length) {
    const char = line.charAt(at);
    if (char === ' ' || char === '\t') break;
    if (char === "'") {
      const close = line.indexOf("'", at + 1);
      if (close < 0) return undefined;
      text += line.slice(at + 1, close);
      quoted = true;
      at = close + 1;
    } else if (char === '"') {
      const inner = readDoubleQuoted(line, at + 1);
      if (inner === undefined) return undefined;
      text += inner.text;
      quoted = true;
      at = inner.end;
    } else if (char === '\\') {
      const escaped = line.charAt(at + 1);
      // A backslash at the end or before a newline continues the line: that is no path.
      if (escaped === '' || escaped === '\n') return undefined;
      text += escaped;
      quoted = true;
      at += 2;
    } else if (PATTERN.test(char)) {
      // Behind a plain first character no expansion can begin with `-` and be read as a flag.
      if (at === start) return undefined;
      text += char;
      pattern = true;
      at++;
    } else if (PLAIN.test(char) || char.charCodeAt(0) >= 0xa0 || (char === '~' && text === '' && !quoted)) {
      text += char;
      at++;
    } else {
      return undefined;
    }
  }
  return { word: { text, quoted, pattern }, end: at };
}

/** The inside of double quotes from `start`; undefined when it expands something or does not end. */
function readDoubleQuoted(line: string, start: number): { text: string; end: number } | undefined {
  let text = '';
  for (let at = start; at < line.length; at++) {
    const char = line.charAt(at);
    if (char === '"') return { text, end: at + 1 };
    if (char === '$' || char === '`') return undefined;
    if (char === '!') return undefined; // history, where a shell reads it so
    if (char === '\\') {
      const escaped = line.charAt(at + 1);
      if (escaped === '\n' || escaped === '') return undefined;
      if ('$`"\\'.includes(escaped)) {
        text += escaped;
        at++;
        continue;
      }
    }
    text += char;
  }
  return undefined;
}
