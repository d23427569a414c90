/**
 * Signs a file for RDP clients as Windows' rdpsign does: its format is not published, and
 * known from what that program writes. Clients show who has signed; an altered file shows nobody.
 */
import { spawn } from 'node:child_process';
import { buffer } from 'node:stream/consumers';

/** Settings that a signature covers, in the order in which they are signed. */
const SIGNED: ReadonlyMap<string, string> = new Map([
  ['full address', 'Full Address'],
  ['alternate full address', 'Alternate Full Address'],
  ['negotiate security layer', 'Negotiate Security Layer'],
  ['enablecredsspsupport', 'EnableCredSspSupport'],
  ['autoreconnection enabled', 'AutoReconnection Enabled'],
  ['prompt for credentials', 'Prompt For Credentials'],
  ['promptcredentialonce', 'PromptCredentialOnce'],
  ['authentication level', 'Authentication Level'],
  ['audiocapturemode', 'AudioCaptureMode'],
  ['redirectclipboard', 'RedirectClipboard'],
  ['drivestoredirect', 'DrivesToRedirect'],
  ['redirectprinters', 'RedirectPrinters'],
  ['redirectsmartcards', 'RedirectSmartCards'],
  ['redirectcomports', 'RedirectCOMPorts'],
]);
const LINE = 64;

/** There is no `openssl` to sign with, or it fails; `message` says why. */
export class SigningError extends Error {
  override readonly name = 'SigningError';
}

/**
 * The lines with those of the signature behind them.
 * @param keys paths of PEM files; the certificate's may hold a chain
 * @throws SigningError
 */
export async function signed(
  lines: readonly string[],
  keys: { readonly key: string; readonly certificate: string },
): Promise<readonly string[]> {
  const covered = [...SIGNED].flatMap(([name, title]) => {
    const line = lines.find((each) => each.startsWith(`${name}:`));
    return line === undefined ? [] : [{ line, title }];
  });
  const scope = `signscope:s:${covered.map(({ title }) => title).join(',')}`;
  const text = `${[...covered.map(({ line }) => line), scope].join('\r\n')}\r\n\0`;
  const pkcs7 = await pkcs7Of(Buffer.from(text, 'utf16le'), keys);
  const head = Buffer.alloc(12);
  head.writeUInt32LE(0x0001_0001, 0);
  head.writeUInt32LE(1, 4);
  head.writeUInt32LE(pkcs7.length, 8);
  const base64 = Buffer.concat([head, pkcs7]).toString('base64');
  const parts = base64.match(new RegExp(`.{1,${LINE}}`, 'g')) ?? [];
  return [...lines, scope, `signature:s:${parts.map((part) => `${part}  `).join('')}`];
}

/** Detached PKCS #7 (RFC 2315) over `content`, without signed attributes. */
async function pkcs7Of(
  content: Buffer,
  { key, certificate }: { readonly key: string; readonly certificate: string },
): Promise<Buffer> {
  const args = ['smime', '-sign', '-binary', '-noattr', '-md', 'sha256', '-outform', 'DER'];
  const child = spawn('openssl', [...args, '-signer', certificate, '-inkey', key, '-certfile', certificate]);
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  // A program that ends early leaves a broken pipe: its own words say why.
  child.stdin.on('error', () => {});
  child.stdin.end(content);
  try {
    const [code, out, words] = await Promise.all([ended, buffer(child.stdout), buffer(child.stderr)]);
    if (code === 0) return out;
    throw new SigningError(`openssl cannot sign: ${words.toString('utf8').trim().split('\n')[0]}`);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT')
      throw new SigningError('there is no openssl to sign with: install it', { cause: error });
    throw error;
  }
}
