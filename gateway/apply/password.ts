/** Passwords of people, as argon2id hashes in PHC strings (`$argon2id$v=19$m=…,t=…,p=…$salt$hash`). */
import { argon2, argon2Sync, randomBytes, timingSafeEqual } from 'node:crypto';

// OWASP's first choice for argon2id: 19 MiB, two passes, one lane. About 50 ms of a core.
const PARAMETERS = { memory: 19_456, passes: 2, parallelism: 1 } as const;
const SALT_BYTES = 16;
const HASH_BYTES = 32;
// A hash from elsewhere may ask for more than ours, but not for all of the machine.
const MAX_MEMORY_KIB = 1024 * 1024;
const MAX_PASSES = 64;
const MAX_LANES = 64;

interface Hash {
  readonly memory: number;
  readonly passes: number;
  readonly parallelism: number;
  readonly salt: Buffer;
  readonly hash: Buffer;
}

/** A new PHC string with a random salt. Runs on Node's thread pool. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const hash = await derive(password, { ...PARAMETERS, salt }, HASH_BYTES);
  const { memory, passes, parallelism } = PARAMETERS;
  return `$argon2id$v=19$m=${memory},t=${passes},p=${parallelism}$${base64(salt)}$${base64(hash)}`;
}

/** Whether the password is the one of the PHC string. A string that is none fits no password. */
export async function verifyPassword(phc: string, password: string): Promise<boolean> {
  const parsed = parsePhc(phc);
  if (parsed === undefined) return false;
  return timingSafeEqual(await derive(password, parsed, parsed.hash.length), parsed.hash);
}

/** As {@link verifyPassword}, on the thread that calls it. */
export function verifyPasswordSync(phc: string, password: string): boolean {
  const parsed = parsePhc(phc);
  if (parsed === undefined) return false;
  const hash = argon2Sync('argon2id', parametersOf(password, parsed, parsed.hash.length));
  return timingSafeEqual(hash, parsed.hash);
}

function parsePhc(phc: string): Hash | undefined {
  const match =
    /^\$argon2id\$v=19\$m=(\d{1,8}),t=(\d{1,3}),p=(\d{1,3})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{16,86})$/.exec(
      phc,
    );
  if (match === null) return undefined;
  const [memory, passes, parallelism] = [Number(match[1]), Number(match[2]), Number(match[3])];
  // RFC 9106 §3.1: at least 8 KiB a lane.
  if (parallelism < 1 || parallelism > MAX_LANES || passes < 1 || passes > MAX_PASSES) return undefined;
  if (memory < 8 * parallelism || memory > MAX_MEMORY_KIB) return undefined;
  const salt = Buffer.from(match[4] ?? '', 'base64');
  const hash = Buffer.from(match[5] ?? '', 'base64');
  return { memory, passes, parallelism, salt, hash };
}

function derive(password: string, cost: Omit<Hash, 'hash'>, tagLength: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    argon2('argon2id', parametersOf(password, cost, tagLength), (error, hash) => {
      if (error === null) resolve(hash);
      else reject(error);
    });
  });
}

function parametersOf(password: string, { salt, ...cost }: Omit<Hash, 'hash'>, tagLength: number) {
  const { memory, passes, parallelism } = cost;
  // The same text typed on two keyboards may come composed or decomposed.
  const message = Buffer.from(password.normalize('NFC'));
  return { message, nonce: salt, memory, passes, parallelism, tagLength };
}

/** PHC's base64 has no padding. */
const base64 = (bytes: Buffer): string => bytes.toString('base64').replace(/=+$/, '');
