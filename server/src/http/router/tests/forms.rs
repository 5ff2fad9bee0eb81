//! Forms of several images, some of which cannot be used.

use super::*;

#[tokio::test]
async fn an_image_that_cannot_be_used_has_a_problem_and_the_others_are_answered() {
    let server = TestServer::new().await;
    let red = bmp(RED);
    let parts: [(&str, &str, &[u8]); 3] =
        [("image", "a.bmp", b"oops"), ("image", "b.bmp", &red), ("image", "c.bmp", &red[..70])];
    let answer = server.post_form("/classify", &parts).await.ok().clone();
    let results = answer["results"].as_array().unwrap();
    let labels = results.iter().map(|result| result["predictions"][0]["label"].as_str());
    assert_eq!(labels.collect::<Vec<_>>(), [None, Some("red"), None]);
    let codes = results.iter().map(|result| (result["problem"]["code"].as_str(), result["problem"]["status"].as_u64()));
    let expected = [(Some("not_an_image"), Some(422)), (None, None), (Some("image_truncated"), Some(422))];
    assert_eq!(codes.collect::<Vec<_>>(), expected);
    assert!(results[0]["problem"]["detail"].as_str().unwrap().starts_with("not an image; send one of"));
    assert_eq!(results[2]["file_name"], "c.bmp");
    assert_eq!(results[2].as_object().unwrap().len(), 2, "predictions or a problem: {}", results[2]);
}

#[tokio::test]
async fn a_form_without_a_usable_image_is_the_error_of_the_first_and_names_all() {
    let server = TestServer::new().await;
    let truncated = &bmp(RED)[..70];
    let parts: [(&str, &str, &[u8]); 2] = [("image", "a.bmp", truncated), ("image", "b.bmp", b"oops")];
    let answer = server.post_form("/classify", &parts).await;
    let detail = answer.is(Code::ImageTruncated);
    assert!(detail.starts_with("image 1 of 2 (a.bmp): the bmp is truncated"), "{detail}");
    assert!(detail.contains("; image 2 of 2 (b.bmp): not an image"), "{detail}");
    let alone = server.post_form("/classify", &[("image", "a.bmp", truncated)]).await;
    assert!(alone.is(Code::ImageTruncated).starts_with("image 1 of 1 (a.bmp): the bmp is truncated"));
}
