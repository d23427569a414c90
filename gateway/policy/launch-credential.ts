/**
 * The form of launch credentials: single-use passwords that stand for one person on one
 * target, for a minute (gateway/control/launches.ts).
 */

/** Tells them from people's own passwords. */
export const LAUNCH_PREFIX = 'launch-';
/** 128 bits: nobody finds one in its minute, nor from its hash. */
export const LAUNCH_RANDOM_BYTES = 16;

const FORM = new RegExp(`${LAUNCH_PREFIX}[0-9a-f]{${2 * LAUNCH_RANDOM_BYTES}}`);

const WHOLE = new RegExp(`^${FORM.source}$`);

export function isLaunchCredential(text: string): boolean {
  return WHOLE.test(text);
}

/** A name as it may be written down: some clients send what stands before its `\\` as part of it. */
export function withoutLaunch(name: string): string {
  return name.replace(FORM, `${LAUNCH_PREFIX}…`);
}
