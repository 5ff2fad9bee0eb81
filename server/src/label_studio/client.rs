//! What the server fetches for Label Studio: images of its tasks, and its annotations.

use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use thiserror::Error;
use ureq::Agent;
use ureq::http::Uri;

use super::LabelStudioOptions;
use crate::outbound::{self, HostList, UrlError};

/// The largest answer with annotations, in bytes.
const ANNOTATIONS: u64 = 256 << 20;

/// Fetches from one Label Studio.
#[derive(Debug, Clone)]
pub struct ImageClient {
    /// Nothing without a Label Studio: then only images that are in the task are read.
    server: Option<ServerClient>,
    /// The largest image, in bytes.
    largest: u64,
}

#[derive(Debug, Clone)]
struct ServerClient {
    /// Without the last slash.
    url: String,
    token: Option<String>,
    own: Agent,
    others: Agent,
}

/// Why the image of a task cannot be read.
#[derive(Debug, Error)]
pub enum ImageSourceError {
    /// The task has no text there.
    #[error("the task has no image in its field `{0}`")]
    Missing(String),
    /// The text is no image in base64.
    #[error("the image in the task is no base64")]
    Base64,
    /// The server knows no Label Studio.
    #[error("the image is in Label Studio, which this server does not know; start it with --label-studio-url")]
    NoServer,
    /// The address may not be asked.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The request failed.
    #[error("the image cannot be fetched")]
    Network(#[from] ureq::Error),
    /// The answer is no image.
    #[error("the image is answered with status {0}; is the token right?")]
    Status(u16),
    /// The image could not be received.
    #[error("the image broke off")]
    Io(#[from] std::io::Error),
    /// It has more bytes than an image may have.
    #[error("the image has more than {0} bytes")]
    TooLarge(u64),
    /// The answer cannot be read.
    #[error("the annotations are no JSON")]
    Json(#[from] serde_json::Error),
}

impl ImageClient {
    /// A client for this Label Studio, or for images in tasks alone.
    ///
    /// # Errors
    /// [`UrlError`] for an address that is none.
    pub fn new(options: Option<&LabelStudioOptions>, largest: usize) -> Result<Self, UrlError> {
        let server = |options: &LabelStudioOptions| {
            Ok::<_, UrlError>(ServerClient {
                url: options.url.as_str().trim_end_matches('/').to_owned(),
                token: options.token.clone(),
                own: outbound::client(&HostList::only(&options.url.uri()?)?),
                others: outbound::client(&HostList::new(options.image_hosts.clone())),
            })
        };
        Ok(Self { server: options.map(server).transpose()?, largest: largest as u64 })
    }

    /// The bytes of the image that a task names: in base64, as a path in Label Studio, or by an address whose host is listed.
    ///
    /// # Errors
    /// [`ImageSourceError`].
    pub fn image(&self, data: &Value, field: &str) -> Result<Vec<u8>, ImageSourceError> {
        let text = data[field].as_str().ok_or_else(|| ImageSourceError::Missing(field.to_owned()))?;
        if let Some(rest) = text.strip_prefix("data:") {
            let encoded = rest.split_once(";base64,").map(|(_, encoded)| encoded).ok_or(ImageSourceError::Base64)?;
            return STANDARD.decode(encoded).map_err(|_| ImageSourceError::Base64);
        }
        let server = self.server.as_ref().ok_or(ImageSourceError::NoServer)?;
        if text.starts_with('/') {
            return server.own(&format!("{}{text}", server.url), self.largest);
        }
        let uri: Uri = text.parse().map_err(|_| UrlError::Malformed(text.chars().take(100).collect()))?;
        let own: Uri = server.url.parse().map_err(|_| UrlError::Malformed(server.url.clone()))?;
        if uri.authority() == own.authority() && uri.scheme() == own.scheme() {
            return server.own(text, self.largest);
        }
        receive(server.others.get(text).call()?, self.largest)
    }

    /// The tasks of a project that are annotated.
    ///
    /// # Errors
    /// [`ImageSourceError`].
    pub fn annotated(&self, project: i64) -> Result<Vec<Value>, ImageSourceError> {
        let server = self.server.as_ref().ok_or(ImageSourceError::NoServer)?;
        let url = format!("{}/api/projects/{project}/export?exportType=JSON", server.url);
        Ok(serde_json::from_slice(&server.own(&url, ANNOTATIONS)?)?)
    }
}

impl ServerClient {
    /// An answer of Label Studio itself, the only one that gets the token.
    fn own(&self, url: &str, largest: u64) -> Result<Vec<u8>, ImageSourceError> {
        let request = self.own.get(url);
        let request = match &self.token {
            Some(token) => request.header("authorization", format!("Token {token}")),
            None => request,
        };
        receive(request.call()?, largest)
    }
}

fn receive(response: ureq::http::Response<ureq::Body>, largest: u64) -> Result<Vec<u8>, ImageSourceError> {
    let status = response.status().as_u16();
    if status != 200 {
        return Err(ImageSourceError::Status(status));
    }
    let mut bytes = Vec::new();
    response.into_body().into_reader().take(largest + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > largest { Err(ImageSourceError::TooLarge(largest)) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn client(url: Option<&str>) -> ImageClient {
        let options = url.map(|url| LabelStudioOptions {
            url: url.parse().unwrap(),
            token: Some("secret".to_owned()),
            base: "squeezenet".parse().unwrap(),
            image_hosts: vec!["pictures.example.org".parse().unwrap()],
        });
        ImageClient::new(options.as_ref(), 1000).unwrap()
    }

    #[test]
    fn an_image_may_be_in_the_task_itself() {
        let data = json!({"image": "data:image/png;base64,AQID"});
        assert_eq!(client(None).image(&data, "image").unwrap(), [1, 2, 3]);
        assert!(matches!(client(None).image(&data, "photo"), Err(ImageSourceError::Missing(_))));
        let data = json!({"image": "data:image/png;base64,?"});
        assert!(matches!(client(None).image(&data, "image"), Err(ImageSourceError::Base64)));
    }

    #[test]
    fn nothing_is_fetched_but_from_label_studio_and_listed_hosts() {
        let refused = |client: &ImageClient, image: &str| client.image(&json!({"image": image}), "image").unwrap_err();
        let alone = client(None);
        assert!(matches!(refused(&alone, "/data/upload/1/a.jpg"), ImageSourceError::NoServer));
        let with = client(Some("http://label.example.org:8080"));
        for image in ["http://169.254.169.254/latest/meta-data", "file:///etc/passwd", "http://label.example.org/a.jpg"]
        {
            let error = refused(&with, image);
            let text = crate::failure::chain(&error);
            assert!(text.contains("not listed") || text.contains("no address"), "{image}: {text}");
        }
    }
}
