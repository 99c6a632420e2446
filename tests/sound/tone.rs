//! A steady tone on its way through a call: what becomes of it tells of every sample that is missing or double.

use std::f64::consts::TAU;

use super::RATE_HZ;

/// Samples in which a phase is measured: a tenth of a second.
const WINDOW: usize = RATE_HZ as usize / 10;

/// The largest step between two samples beyond what a tone itself does, as a share of full scale, and when, in seconds.
pub(crate) fn largest_step(pcm: &[f32], rate_hz: u32, hz: f64) -> (f64, f64) {
    let amplitude = f64::from(pcm.iter().fold(0.0_f32, |peak, s| peak.max(s.abs())));
    let own = amplitude * TAU * hz / f64::from(rate_hz);
    let steps = pcm.windows(2).map(|pair| f64::from((pair[1] - pair[0]).abs()));
    let (at, largest) =
        steps.enumerate().fold((0, 0.0), |most, step| if step.1 > most.1 { step } else { most });
    (largest - own, at as f64 / f64::from(rate_hz))
}

/// How a tone that was given came out: the largest step between two samples beyond what the tone itself does, as a share
/// of full scale, and by how much its delay grew, in milliseconds a minute.
pub(crate) fn follow(given: &[f32], played: &[f32], hz: f64) -> (f64, f64) {
    let (largest, _) = largest_step(played, RATE_HZ, hz);
    // The phase of one against the other, unwrapped.
    let (mut last, mut turns) = (None::<f64>, 0.0);
    let mut points = Vec::new();
    for (number, (given, played)) in
        given.chunks_exact(WINDOW).zip(played.chunks_exact(WINDOW)).enumerate()
    {
        let mut between = phase(played, hz) - phase(given, hz);
        between -= TAU * (between / TAU).round();
        if let Some(last) = last {
            let step: f64 = between - last;
            turns -= (step / TAU).round();
        }
        last = Some(between);
        // A phase that falls behind is a delay that grows.
        let delay_ms = -(between / TAU + turns) / hz * 1e3;
        points.push((number as f64 * WINDOW as f64 / f64::from(RATE_HZ), delay_ms));
    }
    let count = points.len() as f64;
    let x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
    let y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
    let above: f64 = points.iter().map(|(at, delay)| (at - x) * (delay - y)).sum();
    let below: f64 = points.iter().map(|(at, _)| (at - x).powi(2)).sum();
    (largest, above / below * 60.0)
}

fn phase(pcm: &[f32], hz: f64) -> f64 {
    let (mut re, mut im) = (0.0, 0.0);
    for (n, &sample) in pcm.iter().enumerate() {
        let angle = TAU * hz * n as f64 / f64::from(RATE_HZ);
        re += f64::from(sample) * angle.cos();
        im -= f64::from(sample) * angle.sin();
    }
    im.atan2(re)
}
