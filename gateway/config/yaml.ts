import { LineCounter, parseDocument } from 'yaml';
import { ConfigurationError } from './problems.ts';

/** Largest YAML text that is read: thousands of systems fit, a wrong file does not. */
export const MAX_YAML_BYTES = 16 * 1024 * 1024;

/**
 * Parses one YAML 1.2 document to plain data. Keys without a value (`listen:` with every
 * line below commented out) count as absent.
 *
 * @param source file name for errors
 * @throws ConfigurationError with line and column
 */
export function parseYaml(text: string, source: string): unknown {
  if (text.length > MAX_YAML_BYTES) {
    throw new ConfigurationError(source, [`is larger than ${MAX_YAML_BYTES} bytes`]);
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  // A warning (an unresolved tag, say) would silently change a value.
  const problems = [...document.errors, ...document.warnings].map((error) => {
    const { line, col } = lines.linePos(error.pos[0]);
    return `line ${line}, column ${col}: ${plain(error.message)}`;
  });
  if (problems.length > 0) throw new ConfigurationError(source, problems);
  let data: unknown;
  try {
    data = document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    // Without the cause: its message quotes the file.
    throw new ConfigurationError(source, [plain(error instanceof Error ? error.message : String(error))]);
  }
  return withoutNulls(data) ?? {};
}

/**
 * The parser's words in the house's form: lower case, no period, and without the piece of
 * the file that some end with, which may be a secret.
 */
function plain(message: string): string {
  const words = message.replace(/(?<=\S): .*$/s, '').replace(/\.$/, '');
  return words.charAt(0).toLowerCase() + words.slice(1);
}

function withoutNulls(value: unknown): unknown {
  if (value === null) return undefined;
  if (Array.isArray(value)) return value.map((item) => (item === null ? null : withoutNulls(item)));
  if (typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, item]) => item !== null)
      .map(([key, item]) => [key, withoutNulls(item)]),
  );
}
