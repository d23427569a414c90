/** Thread entry of the password pool. */
import { verifyPasswordSync } from './password.ts';
import type { PasswordCheck } from './password-pool.ts';

export const check = ({ phc, password }: PasswordCheck): boolean => verifyPasswordSync(phc, password);
