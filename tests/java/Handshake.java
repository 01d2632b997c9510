import java.nio.ByteBuffer;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.KeyStore;
import java.security.Provider;
import java.security.Security;
import java.security.cert.X509Certificate;
import java.util.Arrays;
import javax.crypto.KeyAgreement;
import javax.crypto.interfaces.DHPublicKey;
import javax.crypto.spec.DHParameterSpec;
import javax.crypto.spec.DHPublicKeySpec;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509ExtendedTrustManager;

/** Diffie-Hellman and TLS 1.2 with SunPKCS11 before all other providers: {@code java Handshake.java <java.cfg> <pin>}. */
public final class Handshake {
    private static final String GREETING = "hello from the token";
    private static final int ROOM = 100_000;

    private static Provider token;

    public static void main(String[] arguments) throws Exception {
        token = Security.getProvider("SunPKCS11").configure(arguments[0]);
        Security.insertProviderAt(token, 1);
        char[] pin = arguments[1].toCharArray();
        KeyStore store = KeyStore.getInstance("PKCS11", token);
        store.load(null, pin);
        agrees(2048);
        agrees(3072);
        for (String suite : new String[] {
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384",
            "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256",
            "TLS_RSA_WITH_AES_128_CBC_SHA256",
        }) {
            shakes(store, pin, suite);
        }
        System.out.println("Java is content");
    }

    private static void check(boolean fact, String what) {
        if (!fact) {
            throw new AssertionError(what);
        }
    }

    /** Both sides share a secret; the other side's lies in no token. */
    private static void agrees(int bits) throws Exception {
        KeyPairGenerator maker = KeyPairGenerator.getInstance("DH", token);
        maker.initialize(bits);
        KeyPair mine = maker.generateKeyPair();
        DHPublicKey value = (DHPublicKey) mine.getPublic();
        DHParameterSpec group = value.getParams();
        KeyPairGenerator other = KeyPairGenerator.getInstance("DH", "SunJCE");
        other.initialize(group);
        KeyPair theirs = other.generateKeyPair();
        KeyAgreement here = KeyAgreement.getInstance("DH", token);
        here.init(mine.getPrivate());
        here.doPhase(theirs.getPublic(), true);
        KeyAgreement there = KeyAgreement.getInstance("DH", "SunJCE");
        there.init(theirs.getPrivate());
        DHPublicKeySpec spec = new DHPublicKeySpec(value.getY(), group.getP(), group.getG());
        there.doPhase(KeyFactory.getInstance("DH", "SunJCE").generatePublic(spec), true);
        check(Arrays.equals(here.generateSecret(), there.generateSecret()), "both sides agree in " + bits + " bits");
    }

    /** A client and a server in one program. */
    private static void shakes(KeyStore store, char[] pin, String suite) throws Exception {
        KeyManagerFactory keys = KeyManagerFactory.getInstance("SunX509");
        keys.init(store, pin);
        SSLContext context = SSLContext.getInstance("TLSv1.2");
        context.init(keys.getKeyManagers(), new TrustManager[] {new Everybody()}, null);
        SSLEngine client = context.createSSLEngine("localhost", 1);
        SSLEngine server = context.createSSLEngine();
        client.setUseClientMode(true);
        server.setUseClientMode(false);
        for (SSLEngine engine : new SSLEngine[] {client, server}) {
            engine.setEnabledProtocols(new String[] {"TLSv1.2"});
            engine.setEnabledCipherSuites(new String[] {suite});
        }
        ByteBuffer toServer = ByteBuffer.allocate(ROOM);
        ByteBuffer toClient = ByteBuffer.allocate(ROOM);
        ByteBuffer said = ByteBuffer.wrap(GREETING.getBytes());
        ByteBuffer heard = ByteBuffer.allocate(ROOM);
        for (int i = 0; i < 200 && heard.position() < GREETING.length(); i++) {
            step(client, said, toServer, toClient, ByteBuffer.allocate(ROOM));
            step(server, ByteBuffer.allocate(0), toClient, toServer, heard);
        }
        check(new String(heard.array(), 0, heard.position()).equals(GREETING), suite + " carries the greeting");
        check(client.getSession().getCipherSuite().equals(suite), suite + " is what both took");
    }

    private static void step(SSLEngine engine, ByteBuffer say, ByteBuffer out, ByteBuffer in, ByteBuffer heard)
            throws Exception {
        work(engine);
        engine.wrap(say, out);
        work(engine);
        in.flip();
        engine.unwrap(in, heard);
        in.compact();
        work(engine);
    }

    private static void work(SSLEngine engine) {
        for (Runnable task = engine.getDelegatedTask(); task != null; task = engine.getDelegatedTask()) {
            task.run();
        }
    }

    /** Believes everybody: the certificate is not what is tested. */
    private static final class Everybody extends X509ExtendedTrustManager {
        @Override
        public void checkClientTrusted(X509Certificate[] chain, String type) {}

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String type) {}

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String type, SSLEngine engine) {}

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String type, SSLEngine engine) {}

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String type, java.net.Socket socket) {}

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String type, java.net.Socket socket) {}

        @Override
        public X509Certificate[] getAcceptedIssuers() {
            return new X509Certificate[0];
        }
    }
}
