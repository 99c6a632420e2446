//! Configurations drawn from a seed: six kinds of agents, under any delays that a file may name.

use super::Draw;

/// Desks, their tools, and the ways between them: everything that agents can do, in few words.
const DESKS: &str = "
start: front
agents:
  front:
    greeting: Good day.
    arrival: Front again.
    idle: Hello?
    tools: [inline, same, slow, broken]
    intents:
      - { name: inline, phrases: [one], call: { tool: inline }, then: 'One {result}.', set: { one: '{result}' } }
      - { name: same, phrases: [two], say: Two., call: { tool: same }, then: 'Two {result}.', failed: No. }
      - { name: slow, phrases: [three], say: Let me see., call: { tool: slow }, then: 'Three {result}.' }
      - { name: broken, phrases: [four], call: { tool: broken } }
      - { name: long, phrases: [five], say: A long answer that can be interrupted at nearly any time of it. }
      - { name: back, phrases: [six], say: Over to the back. }
      - { name: bye, phrases: [goodbye], say: Bye., end_call: true }
  back:
    arrival: This is the back.
    tools: [slow]
    intents:
      - { name: slow, phrases: [three], call: { tool: slow }, then: 'Three {result}.', failed: Not now. }
      - { name: front, phrases: [six], say: To the front. }
      - { name: echo, phrases: [seven] }
  mirror: { kind: echo, delay_ms: 100 }
transitions:
  - { from: front, to: back, when: { intent: back } }
  - { from: front, to: back, when: { tool_result: { tool: slow, operator: gt, value: 2 } }, priority: 3 }
  - { from: back, to: front, when: { intent: front }, say: I will bring you back. }
  - { from: back, to: mirror, when: { intent: echo } }
";

/// A shop: slots, facts, three desks in a ring, and a goodbye that is rarely said.
const SHOP: &str = "
start: front
slots:
  number: { kind: digits }
  article: { kind: one_of, values: [shoes, boots] }
agents:
  front:
    greeting: Welcome to the corner shop. How can I help you?
    arrival: You are back at the front desk.
    tools: [inline]
    intents:
      - { name: order, phrases: ['where is my order {number}'], say: Let me look., call: { tool: inline },
          then: 'Order {number:digits} is {result}.', failed: I could not find it., set: { order: '{number}' } }
      - { name: hours, phrases: [what are your opening hours], say: 'From nine to six, Monday to Saturday.' }
      - { name: bill, phrases: [a question about my bill] }
      - { name: return, phrases: ['return my {article}'] }
      - { name: bye, phrases: [thank you goodbye], say: Goodbye!, end_call: true }
  billing:
    arrival: This is billing.
    tools: [slow, same]
    intents:
      - { name: balance, phrases: [how much do I owe], say: One moment., call: { tool: slow }, then: 'You owe {result}.' }
      - { name: invoice, phrases: [send me the invoice], call: { tool: same }, then: Sent., failed: Ask me again. }
      - { name: return, phrases: ['return my {article}'] }
  returns:
    arrival: This is the returns desk.
    intents:
      - { name: policy, phrases: [the return policy], say: You may return anything within thirty days as long as it is
          clean and in its original box. Please keep the receipt and put the label on the outside. }
      - { name: bill, phrases: [a question about my bill] }
      - { name: front, phrases: [the front desk] }
transitions:
  - { from: front, to: billing, when: { intent: bill }, say: I will pass you on to billing. }
  - { from: front, to: returns, when: { intent: return } }
  - { from: billing, to: returns, when: { intent: return } }
  - { from: returns, to: billing, when: { intent: bill } }
  - { from: returns, to: front, when: { intent: front }, say: I will bring you back. }
";

/// One who does little but call tools, and says what came of it.
const TOOLS: &str = "
agents:
  worker:
    tools: [inline, same, slow, broken]
    intents:
      - { name: a, phrases: [inline], call: { tool: inline }, then: 'It is {result}.' }
      - { name: b, phrases: [same], call: { tool: same }, then: 'Same {result}.', set: { last: '{result}' } }
      - { name: c, phrases: [slow], call: { tool: slow }, then: 'Slow {result}.', failed: 'Because {error}.' }
      - { name: d, phrases: [broken], call: { tool: broken }, failed: Broken. }
  other:
    arrival: The other one.
    tools: [slow]
    intents:
      - { name: c, phrases: [slow], call: { tool: slow }, then: 'Other {result}.' }
start: worker
transitions:
  - { from: worker, to: other, when: { tool_result: { tool: same, operator: gt, value: 1 } } }
  - { from: other, to: worker, when: { tool_result: { tool: slow, operator: gt, value: 1 } } }
";

/// Those who think: they hand over to each other, call a third, and ask before they do anything that costs.
const THINKERS: &str = "
start: first
models: { any: { provider: canned, timeout_ms: 3000, replies: [{ say: Never said. }] } }
agents:
  first:
    kind: model
    model: any
    instructions: 'You are the first. {fact.one}'
    greeting: Good day.
    idle: Hello?
    tools: [inline, same, slow, costly, hand_over, call_agent, end_call]
    preemptive: EARLY
  other:
    kind: model
    model: any
    tools: [slow, hand_over, hold]
    max_steps: 3
  helper:
    kind: model
    model: any
    tools: [same, return_value]
    stop_after: [return_value]
topology: { links: ['first <-> other', 'first <=> helper', 'other -> first'] }
";

/// Those who hear and speak by themselves, and one who thinks and one with a script between them.
const NATIVES: &str = "
start: first
models: { any: { model: any, timeout_ms: 3000 } }
agents:
  first:
    kind: native
    model: any
    instructions: 'You are the first. {fact.one}'
    greeting: Good day.
    idle: Hello?
    tools: [inline, same, slow, COSTLYhand_over, call_agent, end_call]
    turn_detection: TURNS
  other:
    kind: native
    model: any
    tools: [slow, hand_over, hold]
  helper:
    kind: model
    model: any
    tools: [same, return_value]
    stop_after: [return_value]
  script:
    arrival: The script.
    intents: [{ name: back, phrases: [one, two], say: Back. }]
topology: { links: ['first <-> other', 'first <=> helper', 'other -> first'] }
transitions:
  - { from: other, to: script, when: { user_input: { contains: hello } }, say: Moment., arrival: Here it is. }
  - { from: script, to: other, when: { intent: back } }
";

/// One who is always in the middle of a long answer.
const TALKER: &str = "
agents:
  talker:
    greeting: There is a great deal to be said about everything, and I am about to say it at some length.
    fallback: That reminds me of something else that nobody has asked about, and that I will tell you now.
    idle: While you are thinking let me add a few words about the weather of the last few days.
    intents:
      - { name: more, phrases: [one, two], say: And besides there are at least four more sides to it that are all
          worth a word or two before we come to what you wanted to know in the first place. }
      - { name: stop, phrases: [stop], say: Fine. }
";

/// One who says back what is heard.
const MIRROR: &str = "
agents:
  mirror: { kind: echo, delay_ms: DELAY }
";

impl Draw {
    /// A configuration as it would be written.
    pub(super) fn config(&mut self) -> String {
        let (tick, rate) =
            (self.of(&[20, 20, 20, 40, 60, 100, 200]), self.of(&[8_000, 16_000, 24_000, 48_000]));
        let min = self.ms(200, 700);
        let (max, gap) = (min + self.ms(0, 800), self.ms(0, 200).min(min - 1));
        let talks = self.below(4) == 0;
        let barge_in = talks || self.below(5) > 0;
        let barge_in_ms = self.ms(0, if talks { 200 } else { 700 });
        let (resume, away) = (self.of(&[0, 400, 1_500]), self.of(&[0, 2_000]));
        let (fade, reorder) = (self.ms(0, 101), self.of(&[0, 20, 60, 200, 500]));
        let (ear, mouth) = (self.ms(0, 600), self.ms(0, 400));
        // With much patience, words that never come pile up.
        let patience = self.of(&[900, 900, 900, 20_000]);
        let ears = self.of(&["pocketsphinx", "pocketsphinx", "pocketsphinx", "none"]);
        let mouths = self.of(&["tone", "tone", "tone", "tone", "none"]);
        let (slow, timeout, fails) = (self.ms(0, 1_500), self.ms(300, 2_000), self.below(3));
        let (call_max, moves) = (self.of(&[0, 0, 0, 20_000]), self.below(3));
        let (alone, silence) = (self.of(&[0, 2_000, 10_000]), self.of(&[0, 0, 0, 4_000]));
        let delay = self.ms(0, 800).to_string();
        let agents = match self.below(16) {
            0 | 1 => DESKS,
            2 | 3 => SHOP,
            8..=11 => THINKERS,
            12..=15 => NATIVES,
            4 => TOOLS,
            5 | 6 => TALKER,
            _ => MIRROR,
        };
        let agents = if talks { TALKER } else { agents };
        let early = self.of(&["false", "true"]);
        let turns = self.of(&["own", "own", "server"]);
        let turns = if barge_in { turns } else { "own" };
        let costly = if turns == "own" { "costly, " } else { "" };
        let (patient, cancels) = (self.of(&[0, 0, 400]), self.of(&["keep", "cancel"]));
        format!(
            "name: drawn\naudio: {{ tick_ms: {tick}, rate_hz: {rate} }}\n\
             voice: {{ reorder_ms: {reorder} }}\n\
             turn: {{ end_silence_min_ms: {min}, end_silence_max_ms: {max}, gap_ms: {gap}, barge_in: {barge_in}, \
             barge_in_ms: {barge_in_ms}, false_interruption_ms: {resume}, away_ms: {away}, fade_ms: {fade} }}\n\
             speech:\n  recogniser: {{ engine: {ears}, latency_ms: {ear}, timeout_ms: {patience} }}\n  \
             synthesiser: {{ engine: {mouths}, latency_ms: {mouth}, timeout_ms: 900 }}\n\
             call: {{ max_ms: {call_max}, max_moves_per_turn: {moves}, alone_ms: {alone}, silence_ms: {silence} }}\n\
             livekit: {{ rpc: {{ look: slow, ask: same }} }}\n\
             tools:\n  inline: {{ run: inline, canned: {{ otherwise: 1 }} }}\n  \
             same: {{ run: inline, delivery: same_tick, canned: {{ otherwise: 2, fails_first: {fails} }} }}\n  \
             slow: {{ latency_ms: {slow}, timeout_ms: {timeout}, filler: One moment., filler_after_ms: 300, patience_ms: \
             {patient}, on_barge_in: {cancels}, canned: {{ otherwise: 3, fails_first: {fails} }} }}\n  \
             costly: {{ approval: 'May I?', canned: {{ otherwise: 4 }} }}\n  \
             broken: {{ run: inline }}\n{}",
            agents
                .replace("DELAY", &delay)
                .replace("EARLY", early)
                .replace("TURNS", turns)
                .replace("COSTLY", costly),
        )
    }
}
