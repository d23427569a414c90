/**
 * The text of RESULTS.md with the section of one benchmark rewritten, or added at the end.
 * A section runs from its heading of the second level to the next such heading.
 */
export function withSection(text: string, name: string, body: string): string {
  const sections = text.split(/^(?=## )/m);
  const section = `## ${name}\n\n${body.trim()}\n`;
  const at = sections.findIndex((each) => each.startsWith(`## ${name}\n`));
  if (at >= 0) sections[at] = section;
  else sections.push(section);
  return `${sections.map((each) => each.trim()).join('\n\n')}\n`;
}
