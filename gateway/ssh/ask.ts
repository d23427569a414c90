/** Questions to the person at the terminal that the desk serves, before there is a target. */
import type { TargetChoice } from '../../workers/messages.ts';
import type { Desk, Program } from './desk.ts';
import { LinePrompt, Picker } from './picker.ts';

/** A question that nobody answers keeps its place only this long. */
const PATIENCE_MS = 5 * 60_000;

/** @returns the chosen target; undefined when the person cancels, leaves or does not answer */
export function pickTarget(
  desk: Desk,
  terminal: NonNullable<Program['terminal']>,
  choices: readonly TargetChoice[],
): Promise<TargetChoice | undefined> {
  const picker = new Picker(choices, terminal);
  return ask(desk, (done) => {
    desk.onInput = (bytes) => {
      const step = picker.input(bytes);
      desk.write(step.output);
      if (step.picked !== undefined || step.cancelled === true) {
        desk.write(picker.end());
        done(step.picked === undefined ? undefined : choices[step.picked]);
      }
    };
    desk.onResize = (size) => desk.write(picker.resize(size));
    desk.write(picker.start());
  });
}

/** @returns the line; undefined when the person cancels, leaves or does not answer */
export function askLine(desk: Desk, question: string): Promise<string | undefined> {
  const prompt = new LinePrompt(question);
  return ask(desk, (done) => {
    desk.onInput = (bytes) => {
      const step = prompt.input(bytes);
      desk.write(step.output);
      if (step.line !== undefined || step.cancelled === true) done(step.line);
    };
    desk.write(prompt.start());
  });
}

function ask<T>(desk: Desk, put: (done: (answer: T | undefined) => void) => void): Promise<T | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => done(undefined), PATIENCE_MS);
    const done = (answer: T | undefined): void => {
      clearTimeout(timer);
      desk.hold();
      resolve(answer);
    };
    void desk.left.then(() => done(undefined));
    put(done);
  });
}
