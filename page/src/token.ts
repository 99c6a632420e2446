/** A token for the room, from the server of this page, in the form of LiveKit's own token endpoints. */

import type { TokenSourceResponseObject } from 'livekit-client';

export type Credentials = Pick<TokenSourceResponseObject, 'serverUrl' | 'participantToken'>;

/** Asks for a new visitor. Fails with a sentence that can be shown. */
export async function credentials(name: string): Promise<Credentials> {
  let answer: Response;
  try {
    answer = await fetch('/token', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ participant_name: name }),
    });
  } catch {
    throw new Error('Antiphon does not answer. Start it again with --page, then reload this page.');
  }
  if (!answer.ok) throw new Error((await answer.text()).trim() || `Antiphon answered with ${answer.status}.`);
  const told = await answer.json();
  return { serverUrl: told.server_url, participantToken: told.participant_token };
}
