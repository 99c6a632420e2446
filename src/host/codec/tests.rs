use proptest::prelude::*;

use super::*;
use crate::host::packets::{Trunk, line};
use crate::pcm::{resample, wav};

const RATE: Rate = Rate::SPEECH;

fn voip(loss_percent: i32) -> OutletOptions {
    OutletOptions { loss_percent, ..OutletOptions::default() }
}

/// Two seconds of a caller's speech, with no digital silence in them.
fn speech() -> Vec<i16> {
    let wav = wav::read(include_bytes!("../../../audio/caller-01-order.wav")).unwrap();
    let mut pcm = resample::convert(&wav.pcm, wav.rate_hz, RATE.hz());
    let begin = pcm.iter().position(|sample| sample.abs() > 50).unwrap();
    pcm.drain(..begin);
    pcm.truncate(100 * RATE.frame());
    assert!(pcm.chunks_exact(RATE.frame()).all(|frame| frame.iter().any(|&sample| sample != 0)));
    pcm
}

fn encode(pcm: &[i16], options: OutletOptions) -> Vec<Packet> {
    let mut outlet = OpusOutlet::new(RATE, options).unwrap();
    pcm.chunks_exact(RATE.frame())
        .filter_map(|frame| outlet.encode(frame))
        .map(|p| p.packet)
        .collect()
}

/// Decodes packets of which one is always under way, as behind a network with some jitter.
fn decode(packets: &[Packet], keep: impl Fn(usize) -> bool) -> (Vec<i16>, InletCounts) {
    let mut inlet = OpusInlet::new(RATE, 1).unwrap();
    let mut pcm = Vec::new();
    for at in 0..=packets.len() {
        if at < packets.len() && keep(at) {
            inlet.push(at as u16, packets[at].bytes());
        }
        if at > 0 {
            let frame = inlet.pull().unwrap();
            assert_eq!(usize::from(frame.seq), at - 1);
            pcm.extend_from_slice(frame.pcm);
        }
    }
    (pcm, inlet.counts())
}

fn energy(pcm: &[i16]) -> f64 {
    pcm.iter().map(|&s| f64::from(s) * f64::from(s)).sum()
}

fn error(a: &[i16], b: &[i16]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
}

#[test]
fn speech_comes_back_as_speech() {
    let spoken = speech();
    let (heard, counts) = decode(&encode(&spoken, voip(0)), |_| true);
    assert_eq!(counts, InletCounts::default());
    assert!((0.7..1.3).contains(&(energy(&heard) / energy(&spoken))));
    // The codec does not keep the wave, but mostly: 6.5 ms later.
    let best =
        (0..320).map(|lag| energy(&spoken) / error(&spoken, &heard[lag..])).fold(0.0, f64::max);
    assert!(10.0 * best.log10() > 3.0, "{:.1} dB", 10.0 * best.log10());
}

#[test]
fn correction_restores_more_than_concealment_makes_up() {
    let packets = encode(&speech(), voip(20));
    let keep = |at: usize| at % 7 != 3;
    let (whole, _) = decode(&packets, |_| true);
    let (corrected, counts) = decode(&packets, keep);
    assert!(counts.recovered > 8 && counts.concealed <= 5, "{counts:?}");
    let mut decoder = Decoder::new(RATE.hz(), Channels::Mono).unwrap();
    let mut concealed = Vec::new();
    for (at, packet) in packets.iter().enumerate() {
        let mut frame = [0; 320];
        decoder.decode(if keep(at) { packet.bytes() } else { &[] }, &mut frame, false).unwrap();
        concealed.extend(frame);
    }
    let (by_correction, by_concealment) = (error(&whole, &corrected), error(&whole, &concealed));
    assert!(by_correction * 2.0 < by_concealment, "{by_correction:.3e}, {by_concealment:.3e}");
}

#[test]
fn packets_out_of_order_are_heard_in_order() {
    let packets = encode(&speech(), voip(0));
    let (expected, _) = decode(&packets, |_| true);
    let mut inlet = OpusInlet::new(RATE, 3).unwrap();
    let mut heard = Vec::new();
    for pair in (0..packets.len() - 1).step_by(2) {
        inlet.push(pair as u16, packets[pair].bytes());
        if pair >= 2 {
            heard.extend_from_slice(inlet.pull().unwrap().pcm);
        }
        // The two after it have changed places.
        if pair + 3 < packets.len() {
            inlet.push((pair + 3) as u16, packets[pair + 3].bytes());
        }
        if pair == 0 {
            inlet.push(1, packets[1].bytes());
        }
        heard.extend_from_slice(inlet.pull().unwrap().pcm);
    }
    assert_eq!(inlet.counts(), InletCounts::default());
    assert_eq!(heard, expected[..heard.len()]);
    assert!(heard.len() > 90 * RATE.frame());
}

#[test]
fn packets_longer_and_shorter_than_a_frame_fill_frames() {
    for ms in [10, 40, 60] {
        let mut encoder = Encoder::new(RATE.hz(), Channels::Mono, Application::Voip).unwrap();
        let mut inlet = OpusInlet::new(RATE, 1).unwrap();
        let mut bytes = [0; PACKET_MAX];
        for (seq, piece) in (0..).zip(speech()[..19_200].chunks_exact(RATE.samples(ms))) {
            let len = encoder.encode(piece, &mut bytes).unwrap();
            inlet.push(seq, &bytes[..len]);
            for _ in 0..(ms * (u32::from(seq) + 1) / 20) - (ms * u32::from(seq) / 20) {
                assert!(inlet.pull().is_some());
            }
        }
        assert_eq!(inlet.counts(), InletCounts::default(), "{ms} ms");
        assert_eq!(inlet.seq, 60, "{ms} ms");
    }
}

#[test]
fn a_pause_is_concealed_and_then_nothing_until_the_sender_goes_on() {
    let packets = encode(&speech(), voip(0));
    let mut inlet = OpusInlet::new(RATE, 2).unwrap();
    assert_eq!(inlet.pull(), None);
    inlet.push(7, packets[40].bytes());
    assert_eq!(inlet.pull().map(|frame| frame.seq), Some(0));
    let concealed = (0..20).map_while(|_| inlet.pull().map(|frame| frame.seq)).last();
    assert_eq!(concealed, Some(CONCEALED_MAX as u16));
    inlet.push(8, packets[41].bytes());
    assert_eq!(inlet.pull().map(|frame| frame.seq), Some(CONCEALED_MAX as u16 + 1));
}

#[test]
fn silence_is_not_encoded() {
    for dtx in [false, true] {
        let mut outlet = OpusOutlet::new(RATE, OutletOptions { dtx, ..voip(0) }).unwrap();
        let (spoken, silence) = (&speech()[..10 * RATE.frame()], vec![0; 43 * RATE.frame()]);
        let all = [spoken, &silence, spoken].concat();
        let sent: Vec<RingPacket> =
            all.chunks_exact(RATE.frame()).filter_map(|frame| outlet.encode(frame)).collect();
        let marks = if dtx { 2 } else { 0 };
        assert_eq!(sent.len() as u64, 20 + SILENCE_ENCODED + marks);
        assert!(sent.windows(2).all(|pair| pair[0].seq + 1 == pair[1].seq));
        assert_eq!(sent.last().unwrap().frame, 62, "time goes on while nothing is sent");
        let mut inlet = OpusInlet::new(RATE, 1).unwrap();
        for packet in sent {
            inlet.push(packet.seq, packet.packet.bytes());
            let heard = inlet.pull().unwrap().pcm;
            assert!(
                packet.packet.bytes().len() > 1 || energy(heard) < 320.0 * 100.0,
                "a mark is quiet"
            );
        }
        assert_eq!(inlet.counts().malformed, 0);
    }
}

fn a_line() -> (Trunk, OpusLine) {
    let outlet = OpusOutlet::new(RATE, voip(0)).unwrap();
    line(outlet, TickLen::from_ms(20).unwrap())
}

#[test]
fn a_participant_joins_speaks_and_leaves() {
    let (mut trunk, mut edge) = a_line();
    let mut input = Input::default();
    let lane = LaneId(3);
    assert!(trunk.join(lane, "ada".into(), Box::new(OpusInlet::new(RATE, 1).unwrap())));
    assert!(trunk.send(lane, 9, encode(&speech(), voip(0))[0].bytes()));
    assert!(trunk.send(LaneId(4), 9, &[1, 2, 3]));
    assert!(!trunk.send(lane, 10, &[0; PACKET_MAX + 1]));
    edge.give(Tick(0), &mut input);
    assert_eq!(input.inbound.len(), 2);
    assert_eq!(input.inbound[1], Inbound::Audio { lane, seq: 0, from: 0, len: 320 });
    assert!(trunk.leave(lane));
    input.clear(Tick(1), 0);
    edge.give(Tick(1), &mut input);
    assert_eq!(input.inbound, [Inbound::Left { lane }]);
    let count =
        |count: &std::sync::atomic::AtomicU64| count.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(count(&trunk.counts().strangers), 1);
    assert_eq!(count(&trunk.counts().oversized), 1);
}

#[test]
fn a_stalled_network_loses_packets_and_counts_them() {
    let (mut trunk, mut edge) = a_line();
    let mut out = Output::default();
    out.audio.extend_from_slice(&speech()[..320]);
    for tick in 0..70 {
        edge.take(Tick(tick), &out);
    }
    assert_eq!(trunk.counts().unsent.load(std::sync::atomic::Ordering::Relaxed), 6);
    let received = std::iter::from_fn(|| trunk.receive()).count();
    assert_eq!(received, crate::host::packets::DEPARTURES_WAITING);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever arrives, each period brings a whole frame or nothing, numbered without gaps.
    #[test]
    fn no_bytes_make_it_panic(
        packets in prop::collection::vec(
            (any::<u16>(), any::<bool>(), prop::collection::vec(any::<u8>(), 0..40), 0_usize..3), 1..60),
        depth in 0_u16..6,
        hz in prop::sample::select(vec![8_000, 16_000, 24_000, 48_000]),
    ) {
        let rate = Rate::from_hz(hz).unwrap();
        let mut inlet = OpusInlet::new(rate, depth).unwrap();
        let mut expected = 0;
        for (at, (seq, in_order, bytes, pulls)) in packets.into_iter().enumerate() {
            let seq = if in_order { at as u16 } else { seq };
            inlet.push(seq, &bytes);
            for _ in 0..pulls {
                if let Some(frame) = inlet.pull() {
                    prop_assert_eq!(frame.pcm.len(), rate.frame());
                    prop_assert_eq!(frame.seq, expected);
                    expected += 1;
                }
            }
        }
    }
}

#[test]
fn marks_of_silence_in_a_pause_are_not_decoded_and_speech_goes_on_after_them() {
    let mut spoken = speech();
    let mut outlet = OpusOutlet::new(RATE, voip(0)).unwrap();
    let mut inlet = OpusInlet::new(RATE, 0).unwrap();
    let silence = 60;
    spoken.splice(50 * RATE.frame()..50 * RATE.frame(), vec![0; silence * RATE.frame()]);
    let (mut marks, mut frames) = (0, Vec::new());
    for frame in spoken.chunks_exact(RATE.frame()) {
        if let Some(RingPacket { seq, packet, .. }) = outlet.encode(frame) {
            marks += usize::from(packet.bytes().len() == 1);
            inlet.push(seq, packet.bytes());
        }
        frames.push(inlet.pull().map(|frame| (frame.seq, energy(frame.pcm))));
    }
    assert_eq!(marks, 2, "one each 400 ms");
    let paused = SILENCE_ENCODED as usize + CONCEALED_MAX as usize;
    assert!(frames[..50 + paused].iter().all(Option::is_some));
    assert!(frames[50 + paused..50 + silence].iter().all(Option::is_none), "{frames:?}");
    let after = &frames[50 + silence..];
    let first = (50 + paused) as u16;
    assert!(after.iter().zip(first..).all(|(frame, seq)| frame.is_some_and(|(n, _)| n == seq)));
    assert!(after.iter().flatten().map(|(_, energy)| energy).sum::<f64>() > 1e6);
    assert_eq!(inlet.counts().missed, 0);
}
