/** One word of sh, whatever is in it. */
export const quote = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;
