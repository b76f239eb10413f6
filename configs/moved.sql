/*toml
# A forest that watches one stream, with the arguments that RANDOM_CUT_FOREST had in Kinesis Data Analytics:
# docs/from-kinesis-analytics.md.
#
#     tidewatch run configs/moved.sql --set source.vitals.path=FILE
version = 1
name = "moved"

[source.vitals]
type = "file"                             # lines such as {"at":1700000000123,"heart":71.5,"pressure":118.0}
path = "vitals.ndjson"

[event]
time = { field = "at", unit = "ms" }

[event.fields]
heart = "double"
pressure = "double"

[sink.scores]
type = "stdout"
*/
SELECT 'all' AS stream, max(heart) AS heart_rate, max(pressure) AS blood_pressure,
       random_cut_forest_with_explanation(heart_rate, blood_pressure, 100, 256, 100000, 1, true, keys => 'each') AS odd,
       odd_score, odd_explanation
FROM COUNT(vitals, at, 1)
GROUP BY stream, window_start, window_end
