/** The words whose condition holds. */
export function chosen(words: Record<string, boolean>): string[] {
  return Object.entries(words).filter(([, holds]) => holds).map(([word]) => word);
}
