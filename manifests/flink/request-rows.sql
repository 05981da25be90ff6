-- Generated from collectors/access_log/sql/flink_sql.py: make generate
SET 'table.local-time-zone' = 'UTC';

SET 'table.exec.source.idle-timeout' = '30 s';

CREATE TEMPORARY TABLE access_log (
  `schema` STRING,
  `gateway` STRING,
  `time` STRING,
  `status` BIGINT,
  `flags` STRING,
  `details` STRING,
  `grpc_status` BIGINT,
  `route` STRING,
  `route_config` STRING,
  `cluster` STRING,
  `duration_us` BIGINT,
  `duration_ms` BIGINT,
  `bytes_in` BIGINT,
  `bytes_out` BIGINT,
  moment AS CASE WHEN TO_TIMESTAMP(`time`, 'yyyy-MM-dd''T''HH:mm:ss.SSS''Z''') <= LOCALTIMESTAMP + INTERVAL '60' SECOND THEN TO_TIMESTAMP(`time`, 'yyyy-MM-dd''T''HH:mm:ss.SSS''Z''') ELSE TIMESTAMP '1970-01-01 00:00:00.000' END,
  WATERMARK FOR moment AS moment - INTERVAL '65' SECOND
) WITH (
  'connector' = 'kafka',
  'properties.bootstrap.servers' = 'kafka-bootstrap.kafka:9092',
  'topic' = 'tidegate-lines',
  'properties.group.id' = 'tidegate-rows',
  'scan.startup.mode' = 'group-offsets',
  'properties.auto.offset.reset' = 'earliest',
  'format' = 'json',
  'json.ignore-parse-errors' = 'true'
);

CREATE TEMPORARY TABLE request_rows (
  `id` STRING,
  `level` STRING,
  `gateway` STRING,
  `tenant` STRING,
  `model` STRING,
  `version` STRING,
  `arm` STRING,
  `start` BIGINT,
  `window` INT,
  `source` STRING,
  `revision` INT,
  `ok` BIGINT,
  `limited` BIGINT,
  `clientError` BIGINT,
  `upstreamLimited` BIGINT,
  `serverError` BIGINT,
  `noHealthyReplica` BIGINT,
  `circuitBreaker` BIGINT,
  `timeout` BIGINT,
  `upstreamFailure` BIGINT,
  `clientGone` BIGINT,
  `closed` BIGINT,
  `preflight` BIGINT,
  `noRoute` BIGINT,
  `rejected` BIGINT,
  `gatewayError` BIGINT,
  `bytes_in` BIGINT,
  `bytes_out` BIGINT,
  `latency_sum` BIGINT,
  `latency` ARRAY<ARRAY<BIGINT>>
) WITH (
  'connector' = 'kafka',
  'properties.bootstrap.servers' = 'kafka-bootstrap.kafka:9092',
  'topic' = 'tidegate-rows',
  'key.format' = 'raw',
  'key.fields' = 'id',
  'value.format' = 'json',
  'value.fields-include' = 'EXCEPT_KEY',
  'sink.delivery-guarantee' = 'exactly-once',
  'sink.transactional-id-prefix' = 'tidegate-rows',
  'properties.transaction.timeout.ms' = '600000'
);

CREATE TEMPORARY VIEW lines AS
SELECT * FROM access_log WHERE moment > TIMESTAMP '1970-01-01 00:00:00.000';

CREATE TEMPORARY VIEW requests AS
SELECT moment, gateway, bytes_in, bytes_out, outcome, ARRAY['platform', 'gateway', 'tenant', 'model', 'version'] AS levels,
  CASE WHEN is_own THEN REGEXP_EXTRACT(route, '\A(?:([a-z0-9](?:[-a-z0-9]*[a-z0-9])?)\.([a-z0-9](?:[-a-z0-9]*[a-z0-9])?)\.[0-9]+(?:~sticky|\.([a-z0-9](?:[-a-z0-9]*[a-z0-9])?))?)\z', 1) ELSE '' END AS tenant,
  CASE WHEN is_own THEN REGEXP_EXTRACT(route, '\A(?:([a-z0-9](?:[-a-z0-9]*[a-z0-9])?)\.([a-z0-9](?:[-a-z0-9]*[a-z0-9])?)\.[0-9]+(?:~sticky|\.([a-z0-9](?:[-a-z0-9]*[a-z0-9])?))?)\z', 2) ELSE '' END AS `model`,
  CASE WHEN is_own AND COALESCE(REGEXP(cluster, '\A(?:outbound\|[0-9]+\|([^|]*)\|[^|]+)\z'), FALSE)
    THEN REGEXP_EXTRACT(cluster, '\A(?:outbound\|[0-9]+\|([^|]*)\|[^|]+)\z', 1) ELSE '' END AS `version`,
  CASE WHEN is_own THEN COALESCE(REGEXP_EXTRACT(route, '\A(?:([a-z0-9](?:[-a-z0-9]*[a-z0-9])?)\.([a-z0-9](?:[-a-z0-9]*[a-z0-9])?)\.[0-9]+(?:~sticky|\.([a-z0-9](?:[-a-z0-9]*[a-z0-9])?))?)\z', 3), '') ELSE '' END AS arm,
  CASE WHEN outcome IN ('clientError', 'ok', 'serverError', 'timeout', 'upstreamLimited')
    THEN CASE WHEN duration_us > 0 THEN duration_us ELSE duration_ms * 1000 END END AS duration
FROM (
  SELECT *, COALESCE(REGEXP(route, '\A(?:([a-z0-9](?:[-a-z0-9]*[a-z0-9])?)\.([a-z0-9](?:[-a-z0-9]*[a-z0-9])?)\.[0-9]+(?:~sticky|\.([a-z0-9](?:[-a-z0-9]*[a-z0-9])?))?)\z'), FALSE) AND COALESCE(REGEXP(route_config, '\A(?:/apis/networking\.istio\.io/v1/namespaces/([-a-z0-9]+)/virtual-service/([-a-z0-9]+))\z'), FALSE) AND REGEXP_EXTRACT(route, '\A(?:([a-z0-9](?:[-a-z0-9]*[a-z0-9])?)\.([a-z0-9](?:[-a-z0-9]*[a-z0-9])?)\.[0-9]+(?:~sticky|\.([a-z0-9](?:[-a-z0-9]*[a-z0-9])?))?)\z', 2) = REGEXP_EXTRACT(route_config, '\A(?:/apis/networking\.istio\.io/v1/namespaces/([-a-z0-9]+)/virtual-service/([-a-z0-9]+))\z', 2) AS is_own,
  CASE
    WHEN details = 'local_rate_limited' THEN 'limited'
    WHEN details = 'cors_response' THEN 'preflight'
    WHEN details = 'direct_response' THEN 'closed'
    WHEN details = 'via_upstream' AND (',' || flags || ',' LIKE '%,DC,%' OR ',' || flags || ',' LIKE '%,DR,%') THEN 'clientGone'
    WHEN details = 'via_upstream' AND status = 0 THEN 'clientGone'
    WHEN details = 'via_upstream' AND grpc_status IN (8) THEN 'upstreamLimited'
    WHEN details = 'via_upstream' AND grpc_status IN (3, 5, 6, 7, 9, 11, 12, 16) THEN 'clientError'
    WHEN details = 'via_upstream' AND grpc_status <> 0 THEN 'serverError'
    WHEN details = 'via_upstream' AND status = 429 THEN 'upstreamLimited'
    WHEN details = 'via_upstream' AND status >= 500 THEN 'serverError'
    WHEN details = 'via_upstream' AND status >= 400 THEN 'clientError'
    WHEN details = 'via_upstream' THEN 'ok'
    WHEN ',' || flags || ',' LIKE '%,NR,%' THEN 'noRoute'
    WHEN ',' || flags || ',' LIKE '%,DC,%' THEN 'clientGone'
    WHEN ',' || flags || ',' LIKE '%,DR,%' THEN 'clientGone'
    WHEN ',' || flags || ',' LIKE '%,UH,%' THEN 'noHealthyReplica'
    WHEN ',' || flags || ',' LIKE '%,UO,%' THEN 'circuitBreaker'
    WHEN ',' || flags || ',' LIKE '%,UT,%' THEN 'timeout'
    WHEN ',' || flags || ',' LIKE '%,DT,%' THEN 'timeout'
    WHEN ',' || flags || ',' LIKE '%,SI,%' THEN 'timeout'
    WHEN ',' || flags || ',' LIKE '%,UMSDR,%' THEN 'timeout'
    WHEN ',' || flags || ',' LIKE '%,UF,%' THEN 'upstreamFailure'
    WHEN ',' || flags || ',' LIKE '%,UC,%' THEN 'upstreamFailure'
    WHEN ',' || flags || ',' LIKE '%,UR,%' THEN 'upstreamFailure'
    WHEN ',' || flags || ',' LIKE '%,LR,%' THEN 'upstreamFailure'
    WHEN ',' || flags || ',' LIKE '%,UPE,%' THEN 'upstreamFailure'
    WHEN ',' || flags || ',' LIKE '%,URX,%' THEN 'upstreamFailure'
    WHEN status = 0 THEN 'clientGone'
    WHEN status >= 500 THEN 'gatewayError'
    ELSE 'rejected'
  END AS outcome
  FROM lines
  WHERE `schema` = 'gw/1'
    AND (`schema` IS NOT NULL AND CHAR_LENGTH(`schema`) <= 4096)
    AND (`gateway` IS NOT NULL AND CHAR_LENGTH(`gateway`) <= 4096)
    AND (`time` IS NOT NULL AND CHAR_LENGTH(`time`) <= 4096)
    AND (`status` IS NOT NULL AND `status` >= 0 AND `status` <= 9007199254740992)
    AND (`flags` IS NOT NULL AND CHAR_LENGTH(`flags`) <= 4096)
    AND (`details` IS NULL OR CHAR_LENGTH(`details`) <= 4096)
    AND (`route` IS NULL OR CHAR_LENGTH(`route`) <= 4096)
    AND (`route_config` IS NULL OR CHAR_LENGTH(`route_config`) <= 4096)
    AND (`cluster` IS NULL OR CHAR_LENGTH(`cluster`) <= 4096)
    AND (`duration_us` IS NULL OR `duration_us` >= 0 AND `duration_us` <= 9007199254740992)
    AND (`duration_ms` IS NOT NULL AND `duration_ms` >= 0 AND `duration_ms` <= 9007199254740992)
    AND (`bytes_in` IS NOT NULL AND `bytes_in` >= 0 AND `bytes_in` <= 9007199254740992)
    AND (`bytes_out` IS NOT NULL AND `bytes_out` >= 0 AND `bytes_out` <= 9007199254740992)
    AND moment IS NOT NULL
) AS classified;

CREATE TEMPORARY VIEW placed AS
SELECT moment, `level`,
  CASE WHEN `level` IN ('gateway') THEN `gateway` ELSE '' END AS `gateway`,
  CASE WHEN `level` IN ('tenant', 'model', 'version') THEN `tenant` ELSE '' END AS `tenant`,
  CASE WHEN `level` IN ('model', 'version') THEN `model` ELSE '' END AS `model`,
  CASE WHEN `level` IN ('version') THEN `version` ELSE '' END AS `version`,
  CASE WHEN `level` IN ('version') THEN `arm` ELSE '' END AS `arm`,
  outcome, bytes_in, bytes_out, duration, CASE WHEN duration > 1 THEN CAST(CEIL(LN(duration) / 3.92207131532813294E-02) AS BIGINT) WHEN duration IS NOT NULL THEN 0 END AS bucket
FROM requests CROSS JOIN UNNEST(levels) AS each_level(`level`)
WHERE (`level` NOT IN ('tenant', 'model', 'version') OR `tenant` <> '')
  AND (`level` NOT IN ('model', 'version') OR `model` <> '')
  AND (`level` NOT IN ('version') OR `version` <> '');

CREATE TEMPORARY VIEW parts AS
SELECT
  window_start, window_end,
  `level`,
  `gateway`,
  `tenant`,
  `model`,
  `version`,
  `arm`,
  bucket,
  COUNT(*) AS requests,
  COUNT(*) FILTER (WHERE outcome = 'ok') AS `ok`,
  COUNT(*) FILTER (WHERE outcome = 'limited') AS `limited`,
  COUNT(*) FILTER (WHERE outcome = 'clientError') AS `clientError`,
  COUNT(*) FILTER (WHERE outcome = 'upstreamLimited') AS `upstreamLimited`,
  COUNT(*) FILTER (WHERE outcome = 'serverError') AS `serverError`,
  COUNT(*) FILTER (WHERE outcome = 'noHealthyReplica') AS `noHealthyReplica`,
  COUNT(*) FILTER (WHERE outcome = 'circuitBreaker') AS `circuitBreaker`,
  COUNT(*) FILTER (WHERE outcome = 'timeout') AS `timeout`,
  COUNT(*) FILTER (WHERE outcome = 'upstreamFailure') AS `upstreamFailure`,
  COUNT(*) FILTER (WHERE outcome = 'clientGone') AS `clientGone`,
  COUNT(*) FILTER (WHERE outcome = 'closed') AS `closed`,
  COUNT(*) FILTER (WHERE outcome = 'preflight') AS `preflight`,
  COUNT(*) FILTER (WHERE outcome = 'noRoute') AS `noRoute`,
  COUNT(*) FILTER (WHERE outcome = 'rejected') AS `rejected`,
  COUNT(*) FILTER (WHERE outcome = 'gatewayError') AS `gatewayError`,
  SUM(bytes_in) AS bytes_in,
  SUM(bytes_out) AS bytes_out,
  SUM(COALESCE(duration, 0)) AS latency_sum
FROM TABLE(TUMBLE(TABLE placed, DESCRIPTOR(moment), INTERVAL '10' SECOND))
GROUP BY window_start, window_end, `level`, `gateway`, `tenant`, `model`, `version`, `arm`, bucket;

INSERT INTO request_rows
SELECT `level` || '|' || `gateway` || '|' || `tenant` || '|' || `model` || '|' || `version` || '|' || CAST(`start` / 1000 AS STRING) || '|' || `source` || CASE WHEN `arm` <> '' THEN '|' || `arm` ELSE '' END AS id, * FROM (
SELECT
  `level`,
  `gateway`,
  `tenant`,
  `model`,
  `version`,
  `arm`,
  EXTRACT(EPOCH FROM window_start) * 1000 AS `start`,
  10 AS `window`,
  'flink' AS `source`,
  0 AS `revision`,
  SUM(`ok`) AS `ok`,
  SUM(`limited`) AS `limited`,
  SUM(`clientError`) AS `clientError`,
  SUM(`upstreamLimited`) AS `upstreamLimited`,
  SUM(`serverError`) AS `serverError`,
  SUM(`noHealthyReplica`) AS `noHealthyReplica`,
  SUM(`circuitBreaker`) AS `circuitBreaker`,
  SUM(`timeout`) AS `timeout`,
  SUM(`upstreamFailure`) AS `upstreamFailure`,
  SUM(`clientGone`) AS `clientGone`,
  SUM(`closed`) AS `closed`,
  SUM(`preflight`) AS `preflight`,
  SUM(`noRoute`) AS `noRoute`,
  SUM(`rejected`) AS `rejected`,
  SUM(`gatewayError`) AS `gatewayError`,
  SUM(`bytes_in`) AS `bytes_in`,
  SUM(`bytes_out`) AS `bytes_out`,
  SUM(`latency_sum`) AS `latency_sum`,
  CASE WHEN COUNT(bucket) > 0 THEN ARRAY_AGG(ARRAY[bucket, requests]) FILTER (WHERE bucket IS NOT NULL) ELSE ARRAY_EXCEPT(ARRAY[ARRAY[CAST(0 AS BIGINT), CAST(0 AS BIGINT)]], ARRAY[ARRAY[CAST(0 AS BIGINT), CAST(0 AS BIGINT)]]) END AS `latency`
FROM parts
GROUP BY window_start, window_end, `level`, `gateway`, `tenant`, `model`, `version`, `arm`
) AS found;
