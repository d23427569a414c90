/** What errors of the S3 client mean, in words for a person. */
import { ArchiveError, type ArchiveErrorCode } from '../port.ts';

type Meaning = readonly [ArchiveErrorCode, string];

const FORBIDDEN: Meaning = [
  'archive-forbidden',
  'refuses the credentials: look at archive.credentials and at what they may do',
];
const MEANINGS = new Map<string, Meaning>([
  ['NoSuchBucket', ['archive-missing', 'has no such bucket: create it']],
  ['PermanentRedirect', ['archive-missing', 'is in another region: name it in archive.url (region=…)']],
  [
    'AuthorizationHeaderMalformed',
    ['archive-missing', 'is in another region: name it in archive.url (region=…)'],
  ],
  ['AccessDenied', ['archive-forbidden', 'does not allow it: give the credentials their rights']],
  ['InvalidAccessKeyId', FORBIDDEN],
  ['SignatureDoesNotMatch', FORBIDDEN],
  ['ExpiredToken', FORBIDDEN],
  ['InvalidToken', FORBIDDEN],
  ['RequestTimeTooSkewed', ['archive-forbidden', 'has another time: set the clock of this machine']],
  [
    'CredentialsProviderError',
    ['archive-forbidden', 'wants credentials: set archive.credentials or AWS_ACCESS_KEY_ID'],
  ],
  ['QuotaExceeded', ['archive-full', 'is full: raise its quota or free space']],
  ['XMinioStorageFull', ['archive-full', 'is full: free space on it']],
  ['XMinioAdminBucketQuotaExceeded', ['archive-full', 'is full: raise its quota or free space']],
  ['TimeoutError', ['archive-timeout', 'did not answer in time: look at it and at the network']],
  ['AbortError', ['archive-timeout', 'did not answer in time: look at it and at the network']],
  ['ECONNREFUSED', ['archive-unreachable', 'refuses connections: start it or correct archive.url']],
  ['ENOTFOUND', ['archive-unreachable', 'is not known to the name service: correct archive.url']],
  ['EAI_AGAIN', ['archive-unreachable', 'cannot be looked up: the name service does not answer']],
  ['EHOSTUNREACH', ['archive-unreachable', 'cannot be reached: look at the network']],
  ['ENETUNREACH', ['archive-unreachable', 'cannot be reached: look at the network']],
  ['ETIMEDOUT', ['archive-unreachable', 'cannot be reached: look at the network']],
  ['EPROTO', ['archive-unreachable', 'does not speak TLS: correct https or http in archive.url']],
  ['ECONNRESET', ['archive-io', 'broke the connection: look at it and at the network']],
  ['EPIPE', ['archive-io', 'broke the connection: look at it and at the network']],
]);
/** OpenSSL's and Node's codes for certificates that do not hold. */
const CERTIFICATE = /^(ERR_TLS_|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_)/;
const MAX_TEXT = 200;

/** `where`: the archive's description. */
export function explained(where: string, error: unknown): ArchiveError {
  if (error instanceof ArchiveError) return error;
  const names = namesOf(error);
  const [code, words] = meaningOf(names, statusOf(error));
  // The client's own error holds requests and answers: only what it is called and says is kept.
  const cause = new Error([...names, error instanceof Error ? error.message : ''].map(printable).join(': '));
  return new ArchiveError(
    code,
    `archive ${where} ${words} (${printable(names[0] ?? 'unknown error')})`,
    cause,
  );
}

function meaningOf(names: readonly string[], status: number | undefined): Meaning {
  for (const name of names) {
    const meaning = MEANINGS.get(name);
    if (meaning !== undefined) return meaning;
    if (CERTIFICATE.test(name)) {
      return [
        'archive-unreachable',
        'has no certificate that can be trusted: correct it, or name its authority in NODE_EXTRA_CA_CERTS',
      ];
    }
  }
  if (status === 401 || status === 403) return FORBIDDEN;
  if (status === 507) return ['archive-full', 'is full: free space on it'];
  if (status === 503 || status === 429) return ['archive-io', 'is busy or out of order: look at it'];
  if (status !== undefined) return ['archive-io', `answers with status ${status}: look at it`];
  return ['archive-io', 'cannot be used'];
}

/** What an error is called: its system code and its name, and those of its cause. */
function namesOf(error: unknown): readonly string[] {
  const names: string[] = [];
  for (let each = error, depth = 0; depth < 4 && typeof each === 'object' && each !== null; depth += 1) {
    if ('code' in each && typeof each.code === 'string') names.push(each.code);
    if ('name' in each && typeof each.name === 'string' && each.name !== 'Error') names.push(each.name);
    each = 'cause' in each ? each.cause : undefined;
  }
  return names;
}

/** Of the HTTP answer that an error of the client came from. */
export function statusOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('$metadata' in error)) return undefined;
  const metadata = error.$metadata;
  if (typeof metadata !== 'object' || metadata === null || !('httpStatusCode' in metadata)) return undefined;
  return typeof metadata.httpStatusCode === 'number' ? metadata.httpStatusCode : undefined;
}

/** Answers of a server go to terminals and logs. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]+/g, ' ').slice(0, MAX_TEXT);
}
