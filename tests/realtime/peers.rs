//! The stand-in as others see it: the Realtime client of the official Python package (`tests/peers/models.py`).

use super::*;

#[test]
fn the_official_client_understands_the_stand_in_of_these_tests() {
    let stand = Stand::start(|listener| {
        let mut line = accept(&listener, Names::General).ready();
        line.until("input_audio_buffer.append");
        line.until("response.create");
        line.tell(json!({ "type": "input_audio_buffer.speech_started", "audio_start_ms": 20, "item_id": "u" }));
        line.tell(json!({ "type": "input_audio_buffer.speech_stopped", "audio_end_ms": 500, "item_id": "u" }));
        line.tell(json!({ "type": "input_audio_buffer.committed", "item_id": "u", "previous_item_id": null }));
        line.answer("r", "i", "Yes.", &noise(1, 4_800));
        line.call("r-2", "c", "{}");
        line.error("server_error", "odd", "no", Some("mine"));
        (line.uri.clone(), line.header("authorization").map(str::to_owned), line.ended())
    });
    let printed = client(&["realtime", &format!("ws://{}/v1", stand.address), KEY], &[]);
    let told: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((&told["audio"], &told["words"]), (&json!(9_600), &json!("Yes.")));
    assert_eq!(
        (&told["calls"], &told["error"]),
        (&json!([["c", "find", "{}"]]), &json!(["odd", "mine"]))
    );
    assert_eq!(told["done"], json!(["completed", "completed"]));
    let (uri, key, (closed, sent)) = stand.end();
    assert_eq!((&*uri, key), ("/v1/realtime?model=talker-1", Some(format!("Bearer {KEY}"))));
    assert!(closed && kinds(&sent) == ["session.update", "response.create"], "{sent:?}");
}
