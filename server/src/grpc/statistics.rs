//! What models have done, in the messages of `grpc_service.proto`.

use axum::extract::State;

use super::frame::Message;
use super::proto::ModelRequest;
use crate::http::problem::ApiError;
use crate::http::state::AppState;
use crate::http::v2::statistics::{
    BatchStatistic, DurationStatistic, InferenceStatistics, ModelStatistic, all_statistics, statistics,
};

/// Of all models where the request names none.
pub(super) async fn model_statistics(
    State(state): State<AppState>,
    Message(request): Message<ModelRequest>,
) -> Result<Message<ModelStatisticsResponse>, ApiError> {
    let statistics = match request.name.is_empty() {
        true => all_statistics(&state),
        false => statistics(&state, &request.into())?,
    };
    let model_stats = statistics.model_stats.into_iter().map(ModelStatistics::from).collect();
    Ok(Message(ModelStatisticsResponse { model_stats }))
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ModelStatisticsResponse {
    #[prost(message, repeated, tag = "1")]
    pub(super) model_stats: Vec<ModelStatistics>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ModelStatistics {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) version: String,
    #[prost(uint64, tag = "3")]
    pub(super) last_inference: u64,
    #[prost(uint64, tag = "4")]
    pub(super) inference_count: u64,
    #[prost(uint64, tag = "5")]
    pub(super) execution_count: u64,
    #[prost(message, optional, tag = "6")]
    pub(super) inference_stats: Option<InferStatistics>,
    #[prost(message, repeated, tag = "7")]
    pub(super) batch_stats: Vec<InferBatchStatistics>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct InferStatistics {
    #[prost(message, optional, tag = "1")]
    pub(super) success: Option<StatisticDuration>,
    #[prost(message, optional, tag = "2")]
    pub(super) fail: Option<StatisticDuration>,
    #[prost(message, optional, tag = "3")]
    pub(super) queue: Option<StatisticDuration>,
    #[prost(message, optional, tag = "4")]
    pub(super) compute_input: Option<StatisticDuration>,
    #[prost(message, optional, tag = "5")]
    pub(super) compute_infer: Option<StatisticDuration>,
    #[prost(message, optional, tag = "6")]
    pub(super) compute_output: Option<StatisticDuration>,
    #[prost(message, optional, tag = "7")]
    pub(super) cache_hit: Option<StatisticDuration>,
    #[prost(message, optional, tag = "8")]
    pub(super) cache_miss: Option<StatisticDuration>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct InferBatchStatistics {
    #[prost(uint64, tag = "1")]
    pub(super) batch_size: u64,
    #[prost(message, optional, tag = "2")]
    pub(super) compute_input: Option<StatisticDuration>,
    #[prost(message, optional, tag = "3")]
    pub(super) compute_infer: Option<StatisticDuration>,
    #[prost(message, optional, tag = "4")]
    pub(super) compute_output: Option<StatisticDuration>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct StatisticDuration {
    #[prost(uint64, tag = "1")]
    pub(super) count: u64,
    #[prost(uint64, tag = "2")]
    pub(super) ns: u64,
}

impl From<ModelStatistic> for ModelStatistics {
    fn from(version: ModelStatistic) -> Self {
        Self {
            name: version.name,
            version: version.version,
            last_inference: version.last_inference,
            inference_count: version.inference_count,
            execution_count: version.execution_count,
            inference_stats: Some(version.inference_stats.into()),
            batch_stats: version.batch_stats.into_iter().map(InferBatchStatistics::from).collect(),
        }
    }
}

impl From<InferenceStatistics> for InferStatistics {
    fn from(sums: InferenceStatistics) -> Self {
        Self {
            success: sums.success.into(),
            fail: sums.fail.into(),
            queue: sums.queue.into(),
            compute_input: sums.compute_input.into(),
            compute_infer: sums.compute_infer.into(),
            compute_output: sums.compute_output.into(),
            cache_hit: sums.cache_hit.into(),
            cache_miss: sums.cache_miss.into(),
        }
    }
}

impl From<BatchStatistic> for InferBatchStatistics {
    fn from(batch: BatchStatistic) -> Self {
        Self {
            batch_size: batch.batch_size as u64,
            compute_input: batch.compute_input.into(),
            compute_infer: batch.compute_infer.into(),
            compute_output: batch.compute_output.into(),
        }
    }
}

impl From<DurationStatistic> for Option<StatisticDuration> {
    fn from(DurationStatistic { count, ns }: DurationStatistic) -> Self {
        Some(StatisticDuration { count, ns })
    }
}
