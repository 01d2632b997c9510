import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.security.KeyStore;
import java.security.Provider;
import java.security.Security;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import javax.net.ssl.KeyManager;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLException;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509ExtendedKeyManager;

/**
 * A TLS server, and a client that shows its own certificate, with both keys in the token, on the loopback:
 * {@code java Tls.java <java.cfg> <pin> <rsa alias> <ec alias>}.
 */
public final class Tls {
    private static final byte[] MESSAGE = "over TLS with the key in the token".getBytes();
    private static final int HANDSHAKES = 12;

    private static Provider token;
    private static KeyStore store;
    private static char[] pin;

    public static void main(String[] arguments) throws Exception {
        token = Security.getProvider("SunPKCS11").configure(arguments[0]);
        // In front: the JSSE's own keys, secrets and random go to the token too, where it has the mechanisms.
        Security.insertProviderAt(token, Integer.getInteger("tls.position", 1));
        pin = arguments[1].toCharArray();
        store = KeyStore.getInstance("PKCS11", token);
        store.load(null, pin);
        for (String protocol : new String[] {"TLSv1.2", "TLSv1.3"}) {
            for (String alias : new String[] {arguments[2], arguments[3]}) {
                serves(protocol, alias);
            }
        }
        System.out.println("TLS is content");
    }

    /** The one key of the store that this end shows. */
    private static KeyManager only(String alias) throws Exception {
        KeyManagerFactory factory = KeyManagerFactory.getInstance("SunX509");
        factory.init(store, pin);
        X509ExtendedKeyManager all = (X509ExtendedKeyManager) factory.getKeyManagers()[0];
        return new X509ExtendedKeyManager() {
            @Override
            public String chooseEngineServerAlias(String kind, java.security.Principal[] issuers, javax.net.ssl.SSLEngine engine) {
                return chooseServerAlias(kind, issuers, null);
            }

            @Override
            public String chooseServerAlias(String kind, java.security.Principal[] issuers, java.net.Socket socket) {
                return kind.startsWith(store(alias).getPublicKey().getAlgorithm()) ? alias : null;
            }

            @Override
            public String chooseClientAlias(String[] kinds, java.security.Principal[] issuers, java.net.Socket socket) {
                return Arrays.asList(kinds).contains(store(alias).getPublicKey().getAlgorithm()) ? alias : null;
            }

            @Override
            public String[] getServerAliases(String kind, java.security.Principal[] issuers) {
                return new String[] {alias};
            }

            @Override
            public String[] getClientAliases(String kind, java.security.Principal[] issuers) {
                return new String[] {alias};
            }

            @Override
            public X509Certificate[] getCertificateChain(String name) {
                return all.getCertificateChain(name);
            }

            @Override
            public java.security.PrivateKey getPrivateKey(String name) {
                return all.getPrivateKey(name);
            }
        };
    }

    private static X509Certificate store(String alias) {
        try {
            return (X509Certificate) store.getCertificate(alias);
        } catch (java.security.KeyStoreException failure) {
            throw new IllegalStateException(failure);
        }
    }

    private static SSLContext context(String alias) throws Exception {
        KeyStore believed = KeyStore.getInstance("PKCS12");
        believed.load(null, null);
        believed.setCertificateEntry("peer", store(alias));
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(believed);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(new KeyManager[] {only(alias)}, trust.getTrustManagers(), null);
        return context;
    }

    private static void serves(String protocol, String alias) throws Exception {
        SSLContext context = context(alias);
        ExecutorService pool = Executors.newFixedThreadPool(2 * HANDSHAKES);
        try (SSLServerSocket server =
                (SSLServerSocket) context.getServerSocketFactory().createServerSocket(0, HANDSHAKES, InetAddress.getLoopbackAddress())) {
            server.setEnabledProtocols(new String[] {protocol});
            server.setNeedClientAuth(true);
            List<Future<Void>> ends = new ArrayList<>();
            for (int n = 0; n < HANDSHAKES; n++) {
                ends.add(pool.submit(() -> echo((SSLSocket) server.accept())));
                ends.add(pool.submit(() -> call(context(alias), server.getLocalPort(), protocol)));
            }
            for (Future<Void> end : ends) {
                end.get();
            }
        } finally {
            pool.shutdown();
        }
    }

    private static Void echo(SSLSocket socket) throws Exception {
        try (socket; InputStream in = socket.getInputStream(); OutputStream out = socket.getOutputStream()) {
            out.write(in.readNBytes(MESSAGE.length));
            out.flush();
        }
        return null;
    }

    private static Void call(SSLContext context, int port, String protocol) throws Exception {
        try (SSLSocket socket = (SSLSocket) context.getSocketFactory().createSocket(InetAddress.getLoopbackAddress(), port)) {
            socket.setEnabledProtocols(new String[] {protocol});
            socket.getOutputStream().write(MESSAGE);
            socket.getOutputStream().flush();
            byte[] answer = socket.getInputStream().readNBytes(MESSAGE.length);
            if (!Arrays.equals(answer, MESSAGE) || !socket.getSession().getProtocol().equals(protocol)) {
                throw new SSLException("not the answer, or not " + protocol);
            }
        }
        return null;
    }
}
