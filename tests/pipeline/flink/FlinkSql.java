import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;

/** Runs a script of Flink SQL in this process, until what it inserts has ended. */
public class FlinkSql {
    public static void main(String[] args) throws Exception {
        var conf = new Configuration();
        conf.setString("parallelism.default", "2");
        conf.setString("rest.port", "0");
        conf.setString("execution.checkpointing.interval", "1s");
        // What is kept in memory alone may have 5 MB, and a job that fails would begin again without end.
        conf.setString("execution.checkpointing.storage", "filesystem");
        conf.setString("execution.checkpointing.dir", Path.of(args[0] + ".checkpoints").toUri().toString());
        conf.setString("restart-strategy.type", "none");
        var table = TableEnvironment.create(
                EnvironmentSettings.newInstance().inStreamingMode().withConfiguration(conf).build());
        for (String one : Files.readString(Path.of(args[0])).split(";\\s*\\n")) {
            if (one.startsWith("SET ")) {
                var parts = one.substring(4).replace("'", "").split(" = ");
                table.getConfig().set(parts[0], parts[1]);
                continue;
            }
            var done = table.executeSql(one);
            if (one.startsWith("INSERT")) {
                done.await();
            }
        }
    }
}
