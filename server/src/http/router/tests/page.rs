//! The page and its files.

use super::*;
use crate::access::{NewKey, Role};

fn get(address: &str) -> Request<Body> {
    Request::get(address).body(Body::empty()).unwrap()
}

/// The addresses of the files that the page names.
fn files(page: &str) -> Vec<&str> {
    page.split(['"', '\'']).filter(|text| text.starts_with("/ui/")).collect()
}

#[tokio::test]
async fn the_page_and_all_that_it_names_is_there_for_everybody() {
    let new = NewKey::generate("boss", vec![Role::Admin]).unwrap();
    let server = TestServer::with_access(AccessArgs { key: vec![new.key.to_string()], ..AccessArgs::default() }).await;
    let (status, headers, bytes) = server.raw(get("/")).await;
    assert_eq!(status, StatusCode::OK);
    let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(
        (&headers[header::CACHE_CONTROL], &headers["content-language"]),
        (&"no-cache".parse().unwrap(), &"en".parse().unwrap())
    );
    let page = String::from_utf8(bytes).unwrap();
    let named = files(&page);
    assert!(named.len() > 10, "{page}");
    for file in named {
        let (status, headers, _) = server.raw(get(file)).await;
        assert_eq!(status, StatusCode::OK, "{file}");
        assert!(headers[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"), "{file}");
        assert_eq!(headers["x-content-type-options"], "nosniff");
    }
    // It shows nothing of the server's before there is a key.
    server.get("/models").await.is(Code::Unauthorized);
    server.get("/ui/0000000000000000/app.js").await.is(Code::RouteNotFound);
}

#[tokio::test]
async fn the_page_is_compressed_and_in_the_language_of_the_reader() {
    let server = TestServer::new().await;
    let request = Request::get("/").header("accept-encoding", "gzip").header("accept-language", "zh-CN");
    let (_, headers, bytes) = server.raw(request.body(Body::empty()).unwrap()).await;
    assert_eq!(
        (&headers["content-encoding"], &headers["content-language"]),
        (&"gzip".parse().unwrap(), &"zh".parse().unwrap())
    );
    let mut page = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*bytes), &mut page).unwrap();
    assert!(page.contains("<html lang=\"zh\">") && page.contains("试用"), "{page}");
}
