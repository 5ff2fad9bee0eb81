//! The messages of Triton's `model_config.proto`, with the fields that graft uses.

use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(super) struct ModelConfigResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) config: Option<ModelConfig>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ModelConfig {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) platform: String,
    #[prost(message, optional, tag = "3")]
    pub(super) version_policy: Option<ModelVersionPolicy>,
    #[prost(int32, tag = "4")]
    pub(super) max_batch_size: i32,
    #[prost(message, repeated, tag = "5")]
    pub(super) input: Vec<ModelInput>,
    #[prost(message, repeated, tag = "6")]
    pub(super) output: Vec<ModelOutput>,
    #[prost(message, optional, tag = "11")]
    pub(super) dynamic_batching: Option<ModelDynamicBatching>,
    #[prost(string, tag = "17")]
    pub(super) backend: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ModelVersionPolicy {
    #[prost(message, optional, tag = "3")]
    pub(super) specific: Option<SpecificVersions>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SpecificVersions {
    #[prost(int64, repeated, tag = "1")]
    pub(super) versions: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ModelInput {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(int32, tag = "2")]
    pub(super) data_type: i32,
    #[prost(int64, repeated, tag = "4")]
    pub(super) dims: Vec<i64>,
    #[prost(bool, tag = "8")]
    pub(super) optional: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ModelOutput {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(int32, tag = "2")]
    pub(super) data_type: i32,
    #[prost(int64, repeated, tag = "3")]
    pub(super) dims: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ModelDynamicBatching {}

/// The numbers of the enumeration `DataType`.
pub(super) fn data_type(name: &str) -> i32 {
    match name {
        "TYPE_FP32" => 11,
        "TYPE_STRING" => 13,
        _ => 0,
    }
}
