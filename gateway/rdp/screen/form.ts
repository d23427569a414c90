/** What each view asks: its words, fields and buttons, and what its answer is. */
import type { Action, View } from './event.ts';
import { TargetList } from './target-list.ts';
import { TextField } from './text-field.ts';

export interface FormField {
  readonly label: string;
  /** What is typed must not be kept where keystrokes are recorded. */
  readonly secret: boolean;
  readonly field: TextField;
}

export interface FormButton {
  readonly label: string;
  readonly does: 'submit' | 'retry' | 'cancel';
}

export interface Form {
  readonly title: string;
  readonly text: string;
  readonly fields: readonly FormField[];
  /** Below the first field, which filters it. */
  readonly list?: TargetList;
  readonly buttons: readonly FormButton[];
  /** Something goes on meanwhile, and an indicator moves. */
  readonly waits: boolean;
  /** What the keys do. */
  readonly hint: string;
  /** What was wrong with the last answer. */
  readonly error: string;
  /** The answer, or what is missing in it. */
  readonly submit: () => Action | Missing;
}

export interface Missing {
  readonly kind: 'missing';
  /** Index of the field that the person should look at. */
  readonly field: number;
}

const CANCEL: FormButton = { label: 'Cancel', does: 'cancel' };
const missing = (field: number): Missing => ({ kind: 'missing', field });
const noAnswer = (): Missing => missing(0);

export function formFor(view: View, banner: string): Form {
  switch (view.kind) {
    case 'log-on': {
      const user = new TextField(false, view.user);
      const password = new TextField(true);
      return {
        title: 'Log on',
        text: banner,
        fields: [
          { label: 'User name', secret: false, field: user },
          { label: 'Password', secret: true, field: password },
        ],
        buttons: [{ label: 'Log on', does: 'submit' }, CANCEL],
        waits: false,
        hint: 'Enter: log on  Esc: cancel',
        error: view.error ?? '',
        submit: () => {
          const name = user.text.trim();
          if (name === '') return missing(0);
          if (password.empty) return missing(1);
          return { kind: 'log-on', user: name, password: password.text };
        },
      };
    }
    case 'code': {
      const code = new TextField(false);
      return {
        title: 'One-time code',
        text: view.prompt ?? 'Enter the code that your authenticator shows.',
        fields: [{ label: 'Code', secret: true, field: code }],
        buttons: [{ label: 'Continue', does: 'submit' }, CANCEL],
        waits: false,
        hint: 'Enter: continue  Esc: cancel',
        error: view.error ?? '',
        submit: () => {
          // Authenticators show codes in groups.
          const text = code.text.replace(/\s/g, '');
          return text === '' ? missing(0) : { kind: 'code', code: text };
        },
      };
    }
    case 'targets': {
      const list = new TargetList(view.targets);
      return {
        title: 'Choose a target',
        text: '',
        fields: [{ label: 'Type to filter', secret: false, field: new TextField(false) }],
        list,
        buttons: [{ label: 'Connect', does: 'submit' }, CANCEL],
        waits: false,
        hint: 'Enter: connect  Esc: cancel',
        error: view.error ?? '',
        submit: () => {
          const target = list.chosen;
          if (target === undefined) return missing(0);
          return { kind: 'target', account: target.account, system: target.system };
        },
      };
    }
    case 'reason': {
      const reason = new TextField(false);
      return {
        title: 'Reason',
        text: view.prompt ?? 'Say why you need this session. Reviewers will read it.',
        fields: [{ label: 'Reason', secret: false, field: reason }],
        buttons: [{ label: 'Continue', does: 'submit' }, CANCEL],
        waits: false,
        hint: 'Enter: continue  Esc: cancel',
        error: view.error ?? '',
        submit: () => {
          const text = reason.text.trim();
          return text === '' ? missing(0) : { kind: 'reason', text };
        },
      };
    }
    case 'waiting':
      return waiting(view.text, [CANCEL]);
    case 'locked':
      // There is nothing to do but to wait.
      return {
        title: 'Session locked',
        text: view.text,
        fields: [],
        buttons: [],
        waits: false,
        hint: '',
        error: '',
        submit: noAnswer,
      };
    case 'message':
      return {
        title: view.title,
        text: view.text,
        fields: [],
        buttons: view.retry
          ? [
              { label: 'Try again', does: 'retry' },
              { label: 'Close', does: 'cancel' },
            ]
          : [{ label: 'Close', does: 'cancel' }],
        waits: false,
        hint: view.retry ? 'Enter: try again  Esc: close' : 'Enter: close',
        error: '',
        submit: noAnswer,
      };
  }
}

/** What shows from an action until the next view: there is nothing to submit twice. */
export function formAfter(action: Action): Form {
  switch (action.kind) {
    case 'log-on':
      return waiting('Logging on …', [CANCEL]);
    case 'code':
      return waiting('Checking the code …', [CANCEL]);
    case 'target':
      return waiting(`Connecting to ${action.system} …`, [CANCEL]);
    case 'reason':
    case 'retry':
      return waiting('One moment …', [CANCEL]);
    case 'cancel':
      return waiting('Closing …', []);
  }
}

function waiting(text: string, buttons: readonly FormButton[]): Form {
  return {
    title: 'Please wait',
    text,
    fields: [],
    buttons,
    waits: true,
    hint: buttons.length === 0 ? '' : 'Esc: cancel',
    error: '',
    submit: noAnswer,
  };
}
