/** Whose page this is: the server puts it into the head. */

const told = (name: string): string => {
  const content = document.querySelector<HTMLMetaElement>(`meta[name="antiphon:${name}"]`)?.content;
  return content ?? '';
};

export const AGENT = told('agent') || 'the agent';
export const ROOM = told('room');
