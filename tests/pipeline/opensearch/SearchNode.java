import java.util.List;
import java.util.Map;
import org.opensearch.common.settings.Settings;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;

/** A search store of one node on 127.0.0.1: java -cp 'lib/*' SearchNode.java HOME HTTP_PORT TRANSPORT_PORT. */
public class SearchNode extends Node {
    SearchNode(Settings settings) {
        super(
            InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), null, () -> "node0"),
            List.of(
                org.opensearch.transport.Netty4Plugin.class,
                org.opensearch.analysis.common.CommonAnalysisPlugin.class,
                org.opensearch.index.reindex.ReindexPlugin.class,
                org.opensearch.painless.PainlessPlugin.class),
            true);
    }

    public static void main(String[] args) throws Exception {
        var node = new SearchNode(Settings.builder()
            .put("path.home", args[0])
            .put("cluster.name", "test")
            .put("discovery.type", "single-node")
            .put("network.host", "127.0.0.1")
            .put("http.port", args[1])
            .put("transport.port", args[2])
            .put("cluster.routing.allocation.disk.threshold_enabled", false)
            .build());
        node.start();
        Thread.currentThread().join();
    }
}
