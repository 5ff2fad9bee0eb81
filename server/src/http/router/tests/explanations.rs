//! Where a model sees its answers.

use ::models::preprocess::decode;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::*;

#[tokio::test]
async fn each_answer_shows_where_the_model_sees_its_best_class() {
    let server = TestServer::new().await;
    let (red, green) = (bmp(RED), bmp(GREEN));
    let parts: [(&str, &str, &[u8]); 3] =
        [("image", "a.bmp", &red), ("image", "b.bmp", b"oops"), ("image", "c.bmp", &green)];
    let answer = server.post_form("/classify?explain=cam", &parts).await.ok().clone();
    let results = answer["results"].as_array().unwrap();
    assert!(results[1].get("explanation").is_none(), "{}", results[1]);
    for (result, class, level) in [(&results[0], 0, f64::from(RED[0])), (&results[2], 1, f64::from(GREEN[1]))] {
        let explanation = &result["explanation"];
        assert_eq!((&explanation["method"], &explanation["class"]), (&json!("cam"), &json!(class)));
        // The logit is the mean of a channel over all 64 places, 0..1, and every place of a plain image adds the same.
        let rows: Vec<Vec<f64>> = serde_json::from_value(explanation["values"].clone()).unwrap();
        assert_eq!((rows.len(), rows[0].len()), (8, 8));
        assert!(rows.iter().flatten().all(|value| (value - level / 255.0 / 64.0).abs() < 1e-6), "{rows:?}");
        let overlay = BASE64_STANDARD.decode(explanation["overlay_png"].as_str().unwrap()).unwrap();
        let overlay = decode(&overlay, &Limits::default()).unwrap();
        assert_eq!((overlay.width(), overlay.height()), (8, 8));
    }
}

#[tokio::test]
async fn an_answer_has_no_explanation_unless_it_is_asked_for_by_a_known_name() {
    let server = TestServer::new().await;
    let red = bmp(RED);
    let parts: [(&str, &str, &[u8]); 1] = [("image", "a.bmp", &red)];
    let answer = server.post_form("/classify", &parts).await.ok().clone();
    assert!(answer["results"][0].get("explanation").is_none(), "{answer}");
    let refused = server.post_form("/classify?explain=saliency", &parts).await;
    let detail = refused.is(Code::InvalidParameter);
    assert!(detail.contains("cam"), "{detail}");
}
