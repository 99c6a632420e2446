//! A lane's way from a bad network to a tick of audio: order, then concealment.

use antiphon::clock::{Rate, Tick};
use antiphon::id::LaneId;
use antiphon::pcm::conceal::Concealer;
use antiphon::pcm::reorder::{Pulled, Reorder};
use antiphon::seed::Seed;
use antiphon::session::input::{Inbound, Input};
use antiphon::sim::network::{Faults, Network};
use proptest::prelude::*;

fn faults() -> impl Strategy<Value = Faults> {
    (0.0..60.0, 0.0..60.0, 0.0..60.0, 0..80_u64).prop_map(|(loss, double, delay, frames)| Faults {
        loss_percent: loss,
        duplicate_percent: double,
        delay_percent: delay,
        delay_frames_max: frames,
    })
}

proptest! {
    #[test]
    fn a_frame_each_period_comes_out_of_any_network(
        faults in faults(),
        seed: u64,
        first: u16,
        depth in 0..26_u16,
        rate in prop::sample::select(vec![8_000_u32, 16_000, 24_000, 48_000]),
        loud: i16,
    ) {
        let rate = Rate::from_hz(rate).unwrap();
        let len = rate.frame();
        let (mut network, mut input) = (Network::new(faults, Seed::new(seed)), Input::default());
        let (mut order, mut concealer) = (Reorder::new(depth, 32), Concealer::new(rate.hz()));
        let (mut out, mut released) = (Vec::new(), Vec::new());
        let periods = 120_u16;
        for n in 0..periods {
            input.clear(Tick(u64::from(n)), 0);
            let sent: Vec<i16> = (0..len).map(|at| if at % 40 < 20 { loud } else { !loud }).collect();
            network.send(LaneId(0), first.wrapping_add(n), &sent, &mut input);
            for value in &input.inbound {
                if let Inbound::Audio { seq, from, len, .. } = *value {
                    let from = from as usize;
                    order.push(seq, input.pcm[from..from + usize::from(len)].to_vec());
                }
            }
            prop_assert!(order.len() <= order.capacity(), "the queue has a bound");
            order.trim(depth.max(3));
            let from = out.len();
            match order.pull() {
                Pulled::Item(frame) => {
                    released.push(n);
                    out.extend(frame);
                    concealer.receive(&mut out[from..]);
                }
                Pulled::Lost | Pulled::Waiting => {
                    out.resize(from + len, 0);
                    concealer.conceal(&mut out[from..]);
                }
            }
            prop_assert_eq!(out.len(), from + len, "a frame a period, to the sample");
        }
        // Nothing gets louder than it was sent: neither a repetition nor a cross-fade wraps around.
        let peak = i32::from(loud).abs().max(i32::from(!loud).abs());
        let twice = out.iter().all(|s| i32::from(*s).abs() <= 2 * peak + 2);
        prop_assert!(twice, "louder than the seam of a repetition can be");
        let counts = order.counts();
        let queued = order.len() as u64;
        prop_assert_eq!(counts.received, released.len() as u64 + counts.trimmed + queued);
    }

    #[test]
    fn a_good_network_changes_nothing(pcm in prop::collection::vec(any::<i16>(), 320), seed: u64) {
        let (mut network, mut input) = (Network::new(Faults::NONE, Seed::new(seed)), Input::default());
        let (mut order, mut concealer) = (Reorder::new(3, 32), Concealer::new(16_000));
        for n in 0..50_u16 {
            input.clear(Tick(u64::from(n)), 0);
            network.send(LaneId(0), n, &pcm, &mut input);
            order.push(n, input.pcm.clone());
            let Pulled::Item(mut frame) = order.pull() else { panic!("it is there") };
            concealer.receive(&mut frame);
            prop_assert_eq!(&frame, &pcm);
        }
    }
}
