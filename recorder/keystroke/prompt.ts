/** Prompts: which ask for a secret, and where a command begins on its line. */

/** A line that asks for something that must not be recorded. */
const SECRET =
  /(password|passwort|kennwort|mot de passe|contraseña|passphrase|passcode|PIN|verification code|secret|encryption key|token|one-time)[^:]*:\s*$/i;

/** Whether the text before the cursor asks for a secret. */
export function asksForSecret(text: string): boolean {
  return SECRET.test(text);
}

/** The prompt of the current line, so that what stands behind it is the command. */
export class Prompt {
  /** The line (ScreenLine.serial) that it was read from; -1: none. */
  serial = -1;
  #text = '';
  /** What stood right of the cursor: a right-hand prompt. */
  #right = '';
  /** The prompt at which the last command was given: shells show it again. */
  #last = '';

  get last(): string {
    return this.#last;
  }

  /**
   * Called with the line as the first key finds it. A prompt that is known already and
   * stands there again (after a list of completions, or with text typed ahead) is kept.
   */
  read(serial: number, before: string, after: string): void {
    const known = [this.#text, this.#last].find((text) => text !== '' && before.startsWith(text));
    this.set(serial, known ?? before);
    this.#right = after.trim();
  }

  /** The line was sent, and nothing ended it. */
  forget(): void {
    this.#text = '';
  }

  set(serial: number, text: string): void {
    this.serial = serial;
    this.#text = text;
    this.#right = '';
  }

  /** The command on a finished line; empty: none. */
  command(line: string): string {
    let text = line.startsWith(this.#text) ? line.slice(this.#text.length) : line;
    text = text.trim();
    if (this.#right !== '' && text.endsWith(this.#right)) text = text.slice(0, -this.#right.length).trim();
    if (text !== '') this.#last = this.#text;
    this.#text = '';
    return text;
  }

  /** The command on a line that nobody watched being typed: it must show the last prompt; else undefined. */
  commandAtLast(line: string): string | undefined {
    if (this.#last.trim() === '' || !line.startsWith(this.#last)) return undefined;
    return line.slice(this.#last.length).trim();
  }
}
