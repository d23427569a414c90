/**
 * The form of launch credentials: single-use passwords that stand for one person on one
 * target, for a minute (gateway/control/launches.ts).
 */

/** Tells them from people's own passwords. */
export const LAUNCH_PREFIX = 'launch-';
/** 128 bits: nobody finds one in its minute, nor from its hash. */
export const LAUNCH_RANDOM_BYTES = 16;

export function isLaunchCredential(password: string): boolean {
  return (
    password.startsWith(LAUNCH_PREFIX) && password.length === LAUNCH_PREFIX.length + 2 * LAUNCH_RANDOM_BYTES
  );
}
