//! Messages against the bytes of tritonclient's stubs (2.73, `SerializeToString(deterministic=True)`).

use std::collections::HashMap;

use bytes::Bytes;
use prost::Message;

use super::config_proto::{
    ModelConfig, ModelConfigResponse, ModelDynamicBatching, ModelInput, ModelOutput, ModelVersionPolicy,
    SpecificVersions,
};
use super::fields;
use super::proto::{
    InferInputTensor, InferOutputTensor, InferParameter, InferRequestedOutputTensor, InferTensorContents, ModelIndex,
    ModelInferRequest, ModelInferResponse, ModelMetadataResponse, ModelReadyResponse, ModelRepositoryParameter,
    ModelRequest, RepositoryIndexRequest, RepositoryIndexResponse, RepositoryModelRequest, ServerLiveResponse,
    ServerMetadataResponse, ServerReadyResponse, TensorMetadata,
};
use super::statistics::{
    InferBatchStatistics, InferStatistics, ModelStatistics, ModelStatisticsResponse, StatisticDuration,
};
use crate::http::problem::Code;

const TYPED: &str = "0a06636f6c6f72731201321a0137220f0a0774696d656f7574120410a0c21e2a2f0a05696e7075741204465033321a0401030102\
                     2a1a3218000000000000803f00002040000040400000804000007f4332250a0d70726f626162696c697469657312140a0e636c61\
                     7373696669636174696f6e12021003";
const RAW: &str = "0a06636f6c6f72732a110a05696d616765120542595445531a01013a0602000000ffd8";
const FILES: &str = "0a06636f6c6f72732a170a05696d616765120542595445531a01012a044202ffd8";

fn bytes(text: &str) -> Bytes {
    hex::decode(text).unwrap().into()
}

#[track_caller]
fn encodes(message: &impl Message, expected: &str) {
    assert_eq!(hex::encode(message.encode_to_vec()), expected);
}

fn parameters(name: &str, value: i64) -> HashMap<String, InferParameter> {
    HashMap::from([(name.to_owned(), InferParameter { int64: Some(value), uint64: None })])
}

fn image() -> InferInputTensor {
    InferInputTensor { name: "image".to_owned(), datatype: "BYTES".to_owned(), shape: vec![1], ..Default::default() }
}

#[test]
fn requests_are_read_as_the_vendors_stubs_write_them() {
    let typed = ModelInferRequest {
        model_name: "colors".to_owned(),
        model_version: "2".to_owned(),
        id: "7".to_owned(),
        parameters: parameters("timeout", 500_000),
        inputs: vec![InferInputTensor {
            name: "input".to_owned(),
            datatype: "FP32".to_owned(),
            shape: vec![1, 3, 1, 2],
            parameters: HashMap::new(),
            contents: Some(InferTensorContents {
                fp32_contents: vec![0.0, 1.0, 2.5, 3.0, 4.0, 255.0],
                bytes_contents: Vec::new(),
            }),
        }],
        outputs: vec![InferRequestedOutputTensor {
            name: "probabilities".to_owned(),
            parameters: parameters("classification", 3),
        }],
        raw_input_contents: Vec::new(),
    };
    assert_eq!(ModelInferRequest::decode(bytes(TYPED)).unwrap(), typed);
    let raw = ModelInferRequest {
        model_name: "colors".to_owned(),
        inputs: vec![image()],
        raw_input_contents: vec![Bytes::from_static(b"\x02\0\0\0\xff\xd8")],
        ..Default::default()
    };
    assert_eq!(ModelInferRequest::decode(bytes(RAW)).unwrap(), raw);
    let contents =
        InferTensorContents { fp32_contents: Vec::new(), bytes_contents: vec![Bytes::from_static(b"\xff\xd8")] };
    let files = ModelInferRequest {
        model_name: "colors".to_owned(),
        inputs: vec![InferInputTensor { contents: Some(contents), ..image() }],
        ..Default::default()
    };
    assert_eq!(ModelInferRequest::decode(bytes(FILES)).unwrap(), files);

    let model = ModelRequest { name: "colors".to_owned(), version: "2".to_owned() };
    assert_eq!(ModelRequest::decode(bytes("0a06636f6c6f7273120132")).unwrap(), model);
    let index = RepositoryIndexRequest { repository_name: "r".to_owned(), ready: true };
    assert_eq!(RepositoryIndexRequest::decode(bytes("0a01721001")).unwrap(), index);
    for (text, parameter) in [
        ("1206636f6c6f72731a0e0a06636f6e66696712041a027b7d", "config"),
        ("1206636f6c6f72731a170a11756e6c6f61645f646570656e64656e747312020801", "unload_dependents"),
    ] {
        let request = RepositoryModelRequest {
            repository_name: String::new(),
            model_name: "colors".to_owned(),
            parameters: HashMap::from([(parameter.to_owned(), ModelRepositoryParameter {})]),
        };
        assert_eq!(RepositoryModelRequest::decode(bytes(text)).unwrap(), request);
    }
}

#[test]
fn of_the_five_types_of_a_parameter_numbers_are_read() {
    for (text, int64, uint64) in [
        ("0801", None, None),
        ("1003", Some(3), None),
        ("1a0178", None, None),
        ("21000000000000e03f", None, None),
        ("2809", None, Some(9)),
    ] {
        assert_eq!(InferParameter::decode(bytes(text)).unwrap(), InferParameter { int64, uint64 });
    }
}

#[test]
fn answers_are_written_as_the_vendors_stubs_write_them() {
    encodes(&ServerLiveResponse { live: true }, "0801");
    encodes(&ServerReadyResponse { ready: true }, "0801");
    encodes(&ModelReadyResponse { ready: true }, "0801");
    let server = ServerMetadataResponse {
        name: "graft".to_owned(),
        version: "0.2.0".to_owned(),
        extensions: vec!["a".to_owned(), "b".to_owned()],
    };
    encodes(&server, "0a0567726166741205302e322e301a01611a0162");
    let tensor = |name: &str, shape: &[i64]| TensorMetadata {
        name: name.to_owned(),
        datatype: "FP32".to_owned(),
        shape: shape.into(),
    };
    let metadata = ModelMetadataResponse {
        name: "colors".to_owned(),
        versions: vec!["2".to_owned()],
        platform: "tract_onnx".to_owned(),
        inputs: vec![tensor("input", &[-1, 3, 4, 4])],
        outputs: vec![tensor("logits", &[-1, 3])],
    };
    encodes(
        &metadata,
        "0a06636f6c6f72731201321a0a74726163745f6f6e6e78221c0a05696e7075741204465033321a0dffffffffffffffffff010304042a1b0a\
         066c6f676974731204465033321a0bffffffffffffffffff0103",
    );
    let answer = ModelInferResponse {
        model_name: "colors".to_owned(),
        model_version: "2".to_owned(),
        id: "7".to_owned(),
        outputs: vec![InferOutputTensor { name: "logits".to_owned(), datatype: "FP32".to_owned(), shape: vec![1, 3] }],
        raw_output_contents: vec![Bytes::from_static(b"\0\0\x80\x3f")],
    };
    encodes(&answer, "0a06636f6c6f72731201321a01372a120a066c6f676974731204465033321a02010332040000803f");
    let version = ModelIndex {
        name: "colors".to_owned(),
        version: "2".to_owned(),
        state: "READY".to_owned(),
        reason: "why".to_owned(),
    };
    let index = RepositoryIndexResponse { models: vec![version] };
    encodes(&index, "0a170a06636f6c6f72731201321a0552454144592203776879");
}

#[test]
fn a_configuration_is_written_as_the_vendors_stubs_write_it() {
    let input = |name: &str, (data_type, dims, optional): (i32, &[i64], bool)| ModelInput {
        name: name.to_owned(),
        data_type,
        dims: dims.into(),
        optional,
    };
    let config = ModelConfig {
        name: "colors".to_owned(),
        platform: "tract_onnx".to_owned(),
        version_policy: Some(ModelVersionPolicy { specific: Some(SpecificVersions { versions: vec![2] }) }),
        max_batch_size: 64,
        input: vec![input("input", (11, &[3, 4, 4], false)), input("image", (13, &[1], true))],
        output: vec![ModelOutput { name: "logits".to_owned(), data_type: 11, dims: vec![3] }],
        dynamic_batching: Some(ModelDynamicBatching {}),
        backend: "tract".to_owned(),
    };
    encodes(
        &ModelConfigResponse { config: Some(config) },
        "0a560a06636f6c6f7273120a74726163745f6f6e6e781a051a030a010220402a0e0a05696e707574100b22030304042a0e0a05696d616765\
         100d2201014001320d0a066c6f67697473100b1a01035a008a01057472616374",
    );
}

#[test]
fn statistics_are_written_as_the_vendors_stubs_write_them() {
    let sum = |count: u64, ns: u64| Some(StatisticDuration { count, ns });
    let version = ModelStatistics {
        name: "colors".to_owned(),
        version: "2".to_owned(),
        last_inference: 1_764_489_600_000,
        inference_count: 3,
        execution_count: 2,
        inference_stats: Some(InferStatistics {
            success: sum(1, 10),
            fail: sum(2, 20),
            queue: sum(3, 30),
            compute_input: sum(4, 40),
            compute_infer: sum(5, 50),
            compute_output: sum(6, 60),
            cache_hit: sum(7, 70),
            cache_miss: sum(8, 80),
        }),
        batch_stats: vec![InferBatchStatistics {
            batch_size: 2,
            compute_input: sum(1, 0),
            compute_infer: sum(0, 2),
            compute_output: sum(3, 0),
        }],
    };
    encodes(
        &ModelStatisticsResponse { model_stats: vec![version] },
        "0a580a06636f6c6f72731201321880b89a9ead332003280232300a040801100a1204080210141a040803101e220408041028\
         2a040805103232040806103c3a04080710464204080810503a0e0802120208011a02100222020803",
    );
}

#[test]
fn a_message_of_many_small_fields_is_refused_before_it_is_decoded() {
    for text in [TYPED, RAW, FILES] {
        fields::check(&bytes(text)).unwrap();
    }
    // `2a00` is an empty input, `1a..` a shape, `2a..` contents with empty elements (`4200`).
    let inputs = "2a00".repeat(65);
    let shape = format!("2aa4011aa101{}", "01".repeat(161));
    let mut contents = ModelInferRequest { inputs: vec![image()], ..Default::default() };
    let elements = InferTensorContents { fp32_contents: Vec::new(), bytes_contents: vec![Bytes::new(); 10_001] };
    contents.inputs[0].contents = Some(elements);
    for message in [bytes(&inputs), bytes(&shape), contents.encode_to_vec().into()] {
        assert_eq!(fields::check(&message).unwrap_err().code(), Code::InvalidBody);
    }
    assert_eq!(fields::check(&bytes("ff")).unwrap_err().code(), Code::InvalidBody, "no field");
}
